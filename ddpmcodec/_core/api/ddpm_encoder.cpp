// The C face of the encoder. ddpm.h states what callers may rely on.
#include "ddpm.h"

#include "encoder.h"
#include "handles.h"
#include "pictures.h"

using namespace ddpm;

struct ddpm_encoder {
    EncodeOptions options;
    int threads = 1;
    ddpm_model own;  // in place of embedded models, for pixels and for coefficients
    std::optional<Image> image;
    std::unique_ptr<Encoder> encoder;  // made by the first advance
    ddpm_event event = DDPM_MORE;

    LastError last_error;
};

namespace {

void require_not_begun(const ddpm_encoder& encoder) { require(!encoder.encoder && encoder.event != DDPM_ERROR, "the encoder has begun: make a new one"); }

void require_no_image(const ddpm_encoder& encoder) {
    require_not_begun(encoder);
    require(!encoder.image, "the encoder has an image: make a new one");
}

EncodeOptions options_of(const ddpm_encode_options& given) {
    EncodeOptions options;
    if (given.has_effort) options.effort = int(std::min(given.effort, uint32_t(INT_MAX)));
    if (given.has_levels) options.levels = int(std::min(given.levels, uint32_t(INT_MAX)));
    options.tile = int(std::min(given.tile, uint32_t(INT_MAX)));
    options.verify = !given.no_verify;
    Encoder{options};  // checks them
    return options;
}

// A file of a kind that comes back byte for byte.
Image image_of_file(Bytes file) {
    static constexpr uint8_t JPEG_START[] = {0xFF, 0xD8, 0xFF};
    if (file.size() < std::size(JPEG_START) || !std::equal(std::begin(JPEG_START), std::end(JPEG_START), file.begin()))
        throw Error(Fault::FORMAT, "the file is not a JPEG file, and this version encodes no other files: decode it, and set its pixels");
    Image image = image_of_jpeg({file.begin(), file.end()});
    require_sound(image);
    return image;
}

// Moves the image to an encoder of the core.
void begin(ddpm_encoder& encoder) {
    require(encoder.image.has_value(), "the encoder has no image: set a picture or a file");
    const ddpm_model& own = encoder.own;
    if ((own.model || own.coefficients) && !(encoder.image->jpeg ? bool(own.coefficients) : bool(own.model))) {
        encoder.event = DDPM_ERROR;
        throw Error(Fault::MODEL, encoder.image->jpeg ? "the image is a JPEG file, and the model is one of pixels" : "the image has pixels, and the model is one of JPEG coefficients");
    }
    auto made = std::make_unique<Encoder>(encoder.options);
    if (own.model) made->use_model(own.model);
    if (own.coefficients) made->use_model(own.coefficients);
    encoder.event = DDPM_ERROR;  // unless all goes well: the image is gone then
    made->add(std::move(*encoder.image));
    encoder.event = DDPM_MORE;
    encoder.encoder = std::move(made);
}

void set_needed(Encoder& encoder, const ddpm_model& model) {
    const int needed = encoder.needed_model(), given = model.model ? model.model->number() : model.coefficients->number();
    require(needed, "no other model is needed: call ddpm_encoder_advance");
    if (given != needed)
        throw Error(Fault::MODEL, "the embedded model number " + std::to_string(needed) + " (" + EMBEDDED_MODELS[needed - 1] + ") is needed, and the given model '" +
                                      (model.model ? model.model->name() : model.coefficients->name()) + "' is " +
                                      (given ? "number " + std::to_string(given) : "not embedded in this version"));
    model.model ? encoder.set_model(model.model) : encoder.set_model(model.coefficients);
}

}  // namespace

// --- what ddpm.h declares

ddpm_encoder* ddpm_encoder_new(void) { return new (std::nothrow) ddpm_encoder(); }

void ddpm_encoder_free(ddpm_encoder* encoder) { delete encoder; }

const char* ddpm_encoder_error(const ddpm_encoder* encoder, ddpm_error* kind) { return error_text(encoder, kind, "the encoder is NULL"); }

ddpm_error ddpm_encoder_set_options(ddpm_encoder* encoder, const ddpm_encode_options* options) {
    return guarded(encoder, [&] {
        require_not_begun(*encoder);
        const ddpm_encode_options given = known(options);
        const int threads = threads_of(given.threads);
        encoder->options = options_of(given);
        encoder->threads = threads;
    });
}

ddpm_error ddpm_encoder_set_picture(ddpm_encoder* encoder, const ddpm_picture* picture) {
    return guarded(encoder, [&] {
        require_no_image(*encoder);
        encoder->image = image_of(known(picture));
    });
}

ddpm_error ddpm_encoder_set_file(ddpm_encoder* encoder, const void* data, size_t size) {
    return guarded(encoder, [&] {
        require_no_image(*encoder);
        require(data || !size, "the data is NULL");
        encoder->image = image_of_file({static_cast<const uint8_t*>(data), size});
    });
}

ddpm_error ddpm_encoder_set_model(ddpm_encoder* encoder, const ddpm_model* model) {
    return guarded(encoder, [&] {
        require(model, "the model is NULL");
        if (encoder->event == DDPM_NEED_MODEL) return set_needed(*encoder->encoder, *model);
        require(!encoder->encoder && encoder->event != DDPM_ERROR, "no model is needed now: wait for DDPM_NEED_MODEL, or set one before the first advance");
        model->model ? void(encoder->own.model = model->model) : void(encoder->own.coefficients = model->coefficients);
    });
}

uint32_t ddpm_encoder_model_number(const ddpm_encoder* encoder) { return encoder && encoder->event == DDPM_NEED_MODEL ? uint32_t(encoder->encoder->needed_model()) : 0; }

ddpm_event ddpm_encoder_advance(ddpm_encoder* encoder, double seconds) {
    if (!encoder || encoder->event == DDPM_ERROR) return DDPM_ERROR;
    const double limited = seconds > 0 ? std::min(seconds, double(DDPM_FOREVER)) : 0;  // which a NaN is, too
    const ddpm_error error = guarded(encoder, [&] {
        if (!encoder->encoder) begin(*encoder);
        encoder->event = DDPM_ERROR;
        encoder->event = event_of(encoder->encoder->advance(limited, encoder->threads));
    });
    return error ? DDPM_ERROR : encoder->event;
}

double ddpm_encoder_progress(const ddpm_encoder* encoder) {
    if (!encoder || !encoder->encoder) return 0;
    if (encoder->event == DDPM_DONE) return 1;
    const double work = encoder->encoder->work();
    return work > 0 ? std::min(encoder->encoder->done() / work, 1.0) : 0;
}

ddpm_error ddpm_encoder_file(const ddpm_encoder* encoder, const uint8_t** data, size_t* size) {
    return guarded(encoder, [&] {
        require(data && size, "there is nowhere to put the file: a pointer is NULL");
        *data = nullptr, *size = 0;
        require(encoder->event == DDPM_DONE, "the file is not done: wait for DDPM_DONE");
        const std::vector<uint8_t>& file = encoder->encoder->file(0);
        *data = file.data(), *size = file.size();
    });
}
