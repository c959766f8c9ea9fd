// ddpm-encode: encodes PPM, PGM, PBM, PAM and JPEG files to .ddpm. It uses no more of the library than ddpm.h.
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "encode_options.h"
#include "input_file.h"
#include "model_files.h"
#include "output_file.h"
#include "pnm_reader.h"

namespace {

using Encoder = std::unique_ptr<ddpm_encoder, decltype(&ddpm_encoder_free)>;

// Throws Failure if a call of the encoder failed.
void check(const Encoder& encoder, ddpm_error error) {
    if (error == DDPM_ERROR_MEMORY) throw std::bad_alloc();
    if (error) fail(code_of(error), ddpm_encoder_error(encoder.get(), nullptr));
}

Encoder encoder_for(const ddpm_encode_options& options) {
    Encoder encoder(ddpm_encoder_new(), ddpm_encoder_free);
    if (!encoder) throw std::bad_alloc();
    if (ddpm_encoder_set_options(encoder.get(), &options)) fail(USED_WRONGLY, ddpm_encoder_error(encoder.get(), nullptr));
    return encoder;
}

bool is_jpeg(const Data& file) { return file.size() > 2 && file[0] == 0xFF && file[1] == 0xD8; }

void set_image(const Encoder& encoder, const Data& file) {
    if (is_jpeg(file)) return check(encoder, ddpm_encoder_set_file(encoder.get(), file.data(), file.size()));
    const PnmPicture pnm(file);
    check(encoder, ddpm_encoder_set_picture(encoder.get(), &pnm.picture()));
}

void set_model(const Encoder& encoder, const std::filesystem::path& path) {
    const LoadedModel model = load_model(path);
    check(encoder, ddpm_encoder_set_model(encoder.get(), model.get()));
}

void set_needed_model(const Encoder& encoder, const std::string& folder) {
    set_model(encoder, embedded_model(folder, ddpm_model_name(ddpm_encoder_model_number(encoder.get())), "is encoded by"));
}

void encode(const EncodeCommand& command) {
    const Encoder encoder = encoder_for(command.options);
    require_output(command.files);
    set_image(encoder, InputFile(command.files.in).all());
    if (!command.model.empty()) set_model(encoder, command.model);
    while (true) {
        const ddpm_event event = ddpm_encoder_advance(encoder.get(), DDPM_FOREVER);
        if (event == DDPM_DONE) break;
        if (event == DDPM_NEED_MODEL) set_needed_model(encoder, command.models);
        ddpm_error error = DDPM_OK;
        ddpm_encoder_error(encoder.get(), &error);
        if (event == DDPM_ERROR) check(encoder, error);
    }
    const uint8_t* data = nullptr;
    size_t size = 0;
    check(encoder, ddpm_encoder_file(encoder.get(), &data, &size));
    write_output(command.files, {data, data + size});
}

void run(const std::vector<std::string>& arguments) {
    const EncodeCommand command = parse_encode(arguments);
    with_names(command.files, [&] { encode(command); });
}

}  // namespace

int main(int count, char** arguments) {
    return run_command({"ddpm-encode", encode_usage, run, "encode with fewer threads (--threads)"}, count, arguments);
}
