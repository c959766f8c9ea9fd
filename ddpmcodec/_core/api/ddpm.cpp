// The C face of the decoder: arguments are checked, exceptions become codes, and pixels are interleaved. ddpm.h states what callers may
// rely on.
#include "ddpm.h"

#include "checksums.h"
#include "handles.h"

using namespace ddpm;

namespace {

const Header& header_of(const ddpm_decoder& decoder) {
    const Header* header = decoder.decoder ? decoder.decoder->header() : nullptr;
    require(header, "the header was not read yet: call ddpm_decoder_advance first");
    return *header;
}

void require_going_on(const ddpm_decoder& decoder) { require(decoder.event != DDPM_ERROR, "the decoder has failed: make a new one"); }

// --- models

std::string name_of(uint32_t number, Bytes id) {
    if (!number) return hex(id);
    const char* name = ddpm_model_name(number);
    return "number " + std::to_string(number) + (name ? " (" + std::string(name) + ")" : ", which a newer version has");
}

template <class Model> bool is_named_by(const Model& model, const Header& header) {
    if (header.model_number) return model.number() == header.model_number;
    return std::equal(header.model_id.begin(), header.model_id.end(), model.id().begin());
}

template <class Model> void require_model(const Model& model, const Header& header) {
    if (!is_named_by(model, header))
        throw Error(Fault::MODEL, "the file was written with model " + name_of(uint32_t(header.model_number), header.model_id) + ", and the given model '" +
                                      model.name() + "' is " + hex(Bytes(model.id()).first(MODEL_ID_BYTES)) + ": set the model that wrote the file");
}

// --- pixels and sections

ddpm_layout layout_of(const ddpm_decoder& decoder) {
    const Header& header = header_of(decoder);
    require_going_on(decoder);
    const PixelBox region = region_of(decoder.plan, header);
    const int scale = decoder.plan.scale;
    ddpm_layout layout{};
    layout.width = uint32_t((region.width() + scale - 1) / scale), layout.height = uint32_t((region.height() + scale - 1) / scale);
    layout.channels = channels_with_alpha(header.mode);
    layout.stride = uint64_t(layout.width) * layout.channels;
    layout.size = layout.stride * layout.height;
    return layout;
}

// Copies samples of a width of `row`, [height, row], to rows that begin `stride` samples apart.
template <class Sample> void copy_rows(std::span<const Sample> samples, size_t row, Sample* out, size_t stride) {
    for (size_t at = 0; at < samples.size(); at += row, out += stride) std::copy_n(&samples[at], row, out);
}

// Colours and alpha, pixel by pixel.
std::vector<uint8_t> interleaved(Picture picture) {
    if (picture.alpha.empty()) return std::move(picture.colour);
    const size_t colours = picture.colour.size() / picture.alpha.size();
    std::vector<uint8_t> pixels;
    pixels.reserve(picture.colour.size() + picture.alpha.size());
    for (size_t pixel = 0; pixel < picture.alpha.size(); pixel++) {
        const auto colour = picture.colour.begin() + std::ptrdiff_t(pixel * colours);
        pixels.insert(pixels.end(), colour, colour + std::ptrdiff_t(colours));
        pixels.push_back(picture.alpha[pixel]);
    }
    return pixels;
}

std::vector<uint16_t> samples_of(Picture picture, const Header& header) {
    if (picture.samples.empty() && header.source_bits > SAMPLE_BITS) make_samples(picture, header, {});
    if (!picture.samples.empty()) return std::move(picture.samples);
    const std::vector<uint8_t> pixels = interleaved(std::move(picture));
    return {pixels.begin(), pixels.end()};
}

// The samples of a row. Fails unless a buffer holds the picture. size, stride: in samples; stride 0 becomes that of rows without gaps.
size_t row_in(const ddpm_decoder& decoder, const void* buffer, size_t size, size_t& stride) {
    require(buffer, "the buffer is NULL");
    const ddpm_layout layout = layout_of(decoder);
    const size_t row = size_t(layout.stride), rows_before = layout.height - 1;
    if (!stride) stride = row;
    require(stride >= row, "stride must be " + std::to_string(row) + " or more, not " + std::to_string(stride));
    require(size >= row && rows_before <= (size - row) / stride, "the buffer of " + std::to_string(size) + " samples is too small: ddpm_decoder_layout tells its size");
    return row;
}

std::vector<uint8_t> payload_of(const ddpm_decoder& decoder) {
    require(header_of(decoder).kind != Kind::PIXELS, "the file holds pixels, and no other file");
    require(decoder.event == DDPM_NEED_PIXELS || decoder.event == DDPM_DONE, "the JPEG file is not complete yet: wait for DDPM_NEED_PIXELS");
    return decoder.file->file_inside();
}

Bytes section_of(ddpm_decoder& decoder, ddpm_section section) {
    header_of(decoder);
    switch (section) {
        case DDPM_SECTION_ICC: return decoder.decoder->metadata()[ICC_PROFILE];
        case DDPM_SECTION_EXIF: return decoder.decoder->metadata()[EXIF];
        case DDPM_SECTION_XMP: return decoder.decoder->metadata()[XMP];
        case DDPM_SECTION_KEPT:
            if (!decoder.file) return {};
            decoder.file->read_kept();
            return decoder.file->kept().file;
        case DDPM_SECTION_PAYLOAD: break;
    }
    require(section == DDPM_SECTION_PAYLOAD, "no section has the number " + std::to_string(int(section)));
    if (!decoder.has_payload) decoder.payload = payload_of(decoder), decoder.has_payload = true;
    return decoder.payload;
}

}  // namespace

// --- what ddpm.h declares

ddpm_decoder* ddpm_decoder_new(void) {
    ddpm_decoder* decoder = new (std::nothrow) ddpm_decoder();
    if (decoder) decoder->plan.max_pixels = DDPM_DEFAULT_MAX_PIXELS;
    return decoder;
}

void ddpm_decoder_free(ddpm_decoder* decoder) { delete decoder; }

const char* ddpm_decoder_error(const ddpm_decoder* decoder, ddpm_error* kind) {
    return error_text(decoder, kind, "the decoder is NULL");
}

ddpm_error ddpm_decoder_set_plan(ddpm_decoder* decoder, const ddpm_plan* plan) {
    return guarded(decoder, [&] {
        require(!decoder->decoder, "the plan is set before the decoder receives bytes");
        const ddpm_plan given = known(plan);
        const int threads = threads_of(given.threads);
        decoder->plan = plan_of(given);
        decoder->threads = threads;
    });
}

ddpm_error ddpm_decoder_feed(ddpm_decoder* decoder, const void* data, size_t size) {
    return guarded(decoder, [&] {
        require(data || !size, "the data is NULL");
        decoder->begun().feed({static_cast<const uint8_t*>(data), size});
    });
}

ddpm_error ddpm_decoder_finish(ddpm_decoder* decoder) {
    return guarded(decoder, [&] {
        decoder->begun().feed({});  // a file of no bytes is one, too
        decoder->file->finish();
    });
}

ddpm_error ddpm_decoder_set_reader(ddpm_decoder* decoder, uint64_t size, ddpm_read read, void* user) {
    return guarded(decoder, [&] {
        auto source = std::make_shared<CallbackSource>(size, read, user);
        decoder->begun().open(std::move(source));
    });
}

ddpm_event ddpm_decoder_advance(ddpm_decoder* decoder, double seconds) {
    if (!decoder || decoder->event == DDPM_ERROR) return DDPM_ERROR;
    const double limited = seconds > 0 ? std::min(seconds, double(DDPM_FOREVER)) : 0;  // which a NaN is, too
    const ddpm_error error = guarded(decoder, [&] {
        if (!decoder->decoder) decoder->begun();
        decoder->event = event_of(decoder->decoder->advance(limited, decoder->threads));
        decoder->has_payload = false;
    });
    if (error) decoder->event = DDPM_ERROR;
    return decoder->event;
}

ddpm_error ddpm_decoder_set_model(ddpm_decoder* decoder, const ddpm_model* model) {
    return guarded(decoder, [&] {
        require(model, "the model is NULL");
        require(decoder->event == DDPM_NEED_MODEL, "no model is needed now: wait for DDPM_NEED_MODEL");
        const Header& header = header_of(*decoder);
        if (header.has_coefficients() != bool(model->coefficients))
            throw Error(Fault::MODEL, header.has_coefficients() ? "the file holds coefficients of a JPEG file, and the model is one of pixels" : "the file holds pixels, and the model is one of JPEG coefficients");
        model->model ? require_model(*model->model, header) : require_model(*model->coefficients, header);
        if (model->coefficients) return decoder->file->set_jpeg_networks(model->coefficients->networks(header.effort));
        decoder->decoder->set_networks(model->model->networks(header.effort, header.levels));
        if (decoder->decoder->needs_alpha_networks()) decoder->decoder->set_alpha_networks(model->model->networks(header.effort, 0));
    });
}

ddpm_error ddpm_decoder_set_pixels(ddpm_decoder* decoder, const uint8_t* pixels, size_t size) {
    return guarded(decoder, [&] {
        require(pixels, "the pixels are NULL");
        require(decoder->event == DDPM_NEED_PIXELS, "no pixels are needed now: wait for DDPM_NEED_PIXELS");
        const uint64_t needed = decoder->file->box_inside().pixels() * uint64_t(header_of(*decoder).channels());
        require(size == needed, "the image has " + std::to_string(needed) + " bytes of pixels, not " + std::to_string(size));
        decoder->file->set_pixels({pixels, pixels + size});
    });
}

ddpm_error ddpm_decoder_info(const ddpm_decoder* decoder, ddpm_info* info) {
    return guarded(decoder, [&] { fill(info, info_of(header_of(*decoder))); });
}

ddpm_error ddpm_decoder_layout(const ddpm_decoder* decoder, ddpm_layout* layout) {
    return guarded(decoder, [&] { fill(layout, layout_of(*decoder)); });
}

ddpm_error ddpm_decoder_pixels(ddpm_decoder* decoder, uint8_t* pixels, size_t size, size_t stride) {
    return guarded(decoder, [&] {
        const size_t row = row_in(*decoder, pixels, size, stride);
        copy_rows<uint8_t>(interleaved(decoder->decoder->picture(decoder->threads)), row, pixels, stride);
    });
}

ddpm_error ddpm_decoder_samples(ddpm_decoder* decoder, uint16_t* samples, size_t count, size_t stride) {
    return guarded(decoder, [&] {
        const size_t row = row_in(*decoder, samples, count, stride);
        copy_rows<uint16_t>(samples_of(decoder->decoder->picture(decoder->threads), header_of(*decoder)), row, samples, stride);
    });
}

ddpm_error ddpm_decoder_section(ddpm_decoder* decoder, ddpm_section section, const uint8_t** data, size_t* size) {
    return guarded(decoder, [&] {
        require(data && size, "there is nowhere to put the section: a pointer is NULL");
        *data = nullptr, *size = 0;
        const Bytes bytes = section_of(*decoder, section);
        *data = bytes.data(), *size = bytes.size();
    });
}

ddpm_error ddpm_decoder_verdict(const ddpm_decoder* decoder, ddpm_verdict* verdict) {
    return guarded(decoder, [&] {
        header_of(*decoder);
        fill(verdict, verdict_of(decoder->decoder->verdict()));
    });
}
