// ddpm-decode: decodes .ddpm files, and images of archives, to PPM, PGM and PAM. It uses no more of the library than ddpm.h.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "decode_input.h"
#include "decode_output.h"
#include "model_files.h"
#include "output_file.h"

namespace {

// --- models

std::string hex(const uint8_t (&id)[4]) {
    char text[9];
    std::snprintf(text, sizeof text, "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
    return text;
}

std::filesystem::path model_path(const ddpm_info& info, const Options& options) {
    if (!options.model.empty()) return options.model;
    if (!info.model_number) fail(NO_MODEL, "was written with model " + hex(info.model_id) + ": name its file with --model");
    const char* name = ddpm_model_name(info.model_number);
    if (!name) fail(NO_MODEL, "was written with the embedded model number " + std::to_string(info.model_number) + " of a newer version: install it");
    return embedded_model(options.models, name, "was written with");
}

ddpm_info info_of(const Decoder& decoder) {
    ddpm_info info{};
    info.struct_size = sizeof info;
    check(decoder, ddpm_decoder_info(decoder.get(), &info));
    return info;
}

void set_model(const Decoder& decoder, const Options& options) {
    const LoadedModel model = load_model(model_path(info_of(decoder), options));
    check(decoder, ddpm_decoder_set_model(decoder.get(), model.get()));
}

// --- decoding

void print_info(const ddpm_info& info) {
    static constexpr const char* MODES[] = {"grey", "RGB", "grey and alpha", "RGB and alpha", "bilevel"};
    static constexpr const char* KINDS[] = {"pixels", "the coefficients of a JPEG file"};
    std::printf("size: %u x %u\nmode: %s\nbits: %u\nholds: %s\norientation: %u\n", info.width, info.height, info.mode < 5 ? MODES[info.mode] : "unknown",
                info.sample_bits, info.kind < 2 ? KINDS[info.kind] : "unknown", info.orientation);
    const char* name = ddpm_model_name(info.model_number);
    const std::string model = name ? name : info.model_number ? "number " + std::to_string(info.model_number) : hex(info.model_id);
    std::printf("effort: %u\nlevels: %u\nmodel: %s\ntiles: %u of up to %u x %u\n", info.effort, info.levels, model.c_str(), info.tiles, info.tile_width, info.tile_height);
    if (!info.file_length) return void(std::printf("bytes: shared with other images\n"));
    std::printf("bytes: %llu, of which header %llu and payload %llu\n", (unsigned long long)info.file_length, (unsigned long long)info.header_length, (unsigned long long)info.payload_length);
}

// The JPEG file in place of its pixels, which this command does not decode.
Data jpeg_file(const Decoder& decoder, const Options& options) {
    if (!options.is_original) fail(FAILED, "holds a JPEG file, which ddpm-decode does not decode: --original writes that file");
    const uint8_t* data = nullptr;
    size_t size = 0;
    check(decoder, ddpm_decoder_section(decoder.get(), DDPM_SECTION_PAYLOAD, &data, &size));
    return {data, data + size};
}

// The file that is kept whole, of which the image is a preview; nothing if there is none.
Data kept_file(const Decoder& decoder) {
    const uint8_t* data = nullptr;
    size_t size = 0;
    check(decoder, ddpm_decoder_section(decoder.get(), DDPM_SECTION_KEPT, &data, &size));
    return {data, data + size};
}

// Says of a preview how much was there.
void report(const Decoder& decoder, const Options& options) {
    ddpm_verdict verdict{};
    verdict.struct_size = sizeof verdict;
    check(decoder, ddpm_decoder_verdict(decoder.get(), &verdict));
    if (!options.plan.partial && !options.plan.has_step && !verdict.is_lossy) return;
    const char* account = verdict.is_exact ? "complete and exact" : verdict.is_damaged ? "damaged: not all of it is what was encoded" : verdict.is_lossy ? "a lossy file, cut on purpose" : "a preview";
    std::fprintf(stderr, "ddpm-decode: %s: %u of %u steps, %llu bytes: %s\n", options.files.in.c_str(), verdict.steps_done, verdict.steps, (unsigned long long)verdict.bytes_used, account);
}

// Two bytes a sample, the high one first.
Data wide_samples(const Decoder& decoder, const ddpm_layout& layout) {
    std::vector<uint16_t> samples(size_t(layout.size));
    check(decoder, ddpm_decoder_samples(decoder.get(), samples.data(), samples.size(), 0));
    Data bytes;
    bytes.reserve(2 * samples.size());
    for (const uint16_t sample : samples) bytes.push_back(uint8_t(sample >> 8)), bytes.push_back(uint8_t(sample));
    return bytes;
}

Data picture(const Decoder& decoder, const Options& options, Format format) {
    ddpm_layout layout{};
    layout.struct_size = sizeof layout;
    check(decoder, ddpm_decoder_layout(decoder.get(), &layout));
    const uint32_t bits = info_of(decoder).sample_bits;
    if (bits > 8) return file_of(layout, bits, wide_samples(decoder, layout), format, options.files.out);
    Data pixels(size_t(layout.size));
    check(decoder, ddpm_decoder_pixels(decoder.get(), pixels.data(), pixels.size(), 0));
    return file_of(layout, bits, std::move(pixels), format, options.files.out);
}

Decoder decoder_for(const ddpm_plan& plan) {
    Decoder decoder(ddpm_decoder_new(), ddpm_decoder_free);
    if (!decoder) throw std::bad_alloc();
    check(decoder, ddpm_decoder_set_plan(decoder.get(), &plan));
    return decoder;
}

void show_info(Options options) {
    options.plan.max_pixels = 1;  // ends decoding once the header was read
    Input input(options);
    const Decoder decoder = decoder_for(options.plan);
    give_input(input, decoder, options);
    const ddpm_event event = ddpm_decoder_advance(decoder.get(), 0);
    ddpm_error error = DDPM_OK;
    const std::string message = ddpm_decoder_error(decoder.get(), &error);
    if (event == DDPM_ERROR && error != DDPM_ERROR_IMAGE) fail(code_of(error), message);
    print_info(info_of(decoder));
}

void decode(const Options& options) {
    const Format format = options.is_original ? Format::PNM : format_of(options.files.out);
    require_output(options.files);
    Input input(options);
    const Decoder decoder = decoder_for(options.plan);
    give_input(input, decoder, options);
    for (;;) {
        const ddpm_event event = ddpm_decoder_advance(decoder.get(), DDPM_FOREVER);
        const bool may_be_kept = options.is_original && (event == DDPM_NEED_PIXELS || event == DDPM_NEED_MODEL);
        if (const Data kept = may_be_kept ? kept_file(decoder) : Data(); !kept.empty()) return write_output(options.files, kept);
        if (event == DDPM_NEED_PIXELS) return write_output(options.files, jpeg_file(decoder, options));
        if (event == DDPM_NEED_MODEL && options.is_original && info_of(decoder).kind == DDPM_KIND_PIXELS) fail(FAILED, "holds pixels, and no other file: leave out --original");
        if (event == DDPM_NEED_MODEL) set_model(decoder, options);
        if (event == DDPM_DONE) break;
        if (event == DDPM_ERROR || event == DDPM_NEED_BYTES) {
            ddpm_error error = DDPM_OK;
            const char* message = ddpm_decoder_error(decoder.get(), &error);
            fail(code_of(error), message);
        }
    }
    if (options.is_original) fail(DAMAGED, "the file that is stored in it is not complete");
    write_output(options.files, picture(decoder, options, format));
    report(decoder, options);
    if (!kept_file(decoder).empty()) std::fprintf(stderr, "ddpm-decode: %s: keeps another file whole, of which this is a preview: --original writes that file\n", options.files.in.c_str());
}

void run(const std::vector<std::string>& arguments) {
    const Options options = parse(arguments);
    with_names(options.files, [&] { options.is_list ? list_images(options) : options.is_info ? show_info(options) : decode(options); });
}

}  // namespace

int main(int count, char** arguments) {
    return run_command({"ddpm-decode", usage, run, "decode a part (--box), or with fewer threads (--threads)"}, count, arguments);
}
