// Fuzzes the decoder for C: calls in any order, then those that decode the file. 32 bytes are the calls, the rest is the file.
#include "ddpm.h"
#include "fuzz.h"

namespace {

using fuzz::Bytes;
using fuzz::Choices;

constexpr int CALLS = 16;

struct File {
    Bytes data;
    size_t fed = 0;
};

int read(void* user, uint64_t offset, void* buffer, size_t size) {
    const Bytes data = static_cast<const File*>(user)->data;
    fuzz::require(offset <= data.size() && size <= data.size() - offset);
    std::copy_n(data.begin() + ptrdiff_t(offset), size, static_cast<uint8_t*>(buffer));
    return 0;
}

int fail(void*, uint64_t, void*, size_t) { return 1; }

const ddpm_model* model() {
    static ddpm_model* const loaded = [] {
        ddpm_model* model = nullptr;
        fuzz::require(ddpm_model_load(&model, fuzz::model_bytes().data(), fuzz::model_bytes().size(), nullptr, 0) == DDPM_OK);
        return model;
    }();
    return loaded;
}

void set_plan(ddpm_decoder* decoder, uint8_t choice) {
    ddpm_plan plan{};
    plan.struct_size = choice == 255 ? 0 : uint32_t(sizeof plan);
    plan.max_pixels = fuzz::MOST_PIXELS;
    plan.partial = choice & 1;
    plan.scale = choice & 2 ? choice / 16 : 0;
    if (choice & 4) plan.has_step = 1, plan.step = choice / 16;
    if (choice & 8) plan.left = choice / 32, plan.width = plan.height = choice / 16;
    ddpm_decoder_set_plan(decoder, &plan);
}

void feed(ddpm_decoder* decoder, File& file, size_t size) {
    const Bytes piece = file.data.subspan(file.fed, std::min(size, file.data.size() - file.fed));
    if (ddpm_decoder_feed(decoder, piece.data(), piece.size()) == DDPM_OK) file.fed += piece.size();
}

// Into a buffer of exactly the size that the layout states, or of one byte less.
void get_pixels(ddpm_decoder* decoder, uint8_t choice) {
    ddpm_layout layout{};
    layout.struct_size = sizeof layout;
    if (ddpm_decoder_layout(decoder, &layout) != DDPM_OK) return;
    const size_t stride = size_t(layout.stride) + choice / 2;
    std::vector<uint8_t> pixels((layout.height - 1) * stride + size_t(layout.stride) - choice % 2);
    const ddpm_error error = ddpm_decoder_pixels(decoder, pixels.data(), pixels.size(), stride);
    fuzz::require(error == (choice % 2 ? DDPM_ERROR_ARGUMENT : DDPM_OK));
}

void set_pixels(ddpm_decoder* decoder, uint8_t choice) {
    ddpm_info info{};
    info.struct_size = sizeof info;
    if (ddpm_decoder_info(decoder, &info) != DDPM_OK || uint64_t(info.width) * info.height > fuzz::MOST_PIXELS) return;
    const std::vector<uint8_t> pixels(size_t(info.width) * info.height * info.channels + choice % 2);
    ddpm_decoder_set_pixels(decoder, pixels.data(), pixels.size());
}

void get_section(ddpm_decoder* decoder, uint8_t choice) {
    const uint8_t* data = nullptr;
    size_t size = 0;
    const ddpm_error error = ddpm_decoder_section(decoder, ddpm_section(choice % 4), &data, &size);
    fuzz::require(error == DDPM_OK || !size);
    unsigned sum = 0;
    for (size_t k = 0; k < size; k++) sum += data[k];
    fuzz::require(sum <= 255 * size);
}

template <class Struct> void get(ddpm_error (*function)(const ddpm_decoder*, Struct*), const ddpm_decoder* decoder, uint8_t choice) {
    Struct out{};
    out.struct_size = choice % 4 ? uint32_t(sizeof out) : choice % uint32_t(sizeof out);
    function(decoder, &out);
}

void call(ddpm_decoder* decoder, File& file, uint8_t function, uint8_t choice) {
    constexpr double SECONDS[] = {0, DDPM_FOREVER, -1, 1e300, -1e300};
    switch (function % 13) {
        case 0: ddpm_decoder_advance(decoder, SECONDS[choice % std::size(SECONDS)]); break;
        case 1: feed(decoder, file, choice); break;
        case 2: feed(decoder, file, size_t(choice) * 64); break;
        case 3: ddpm_decoder_finish(decoder); break;
        case 4: ddpm_decoder_set_model(decoder, choice % 4 ? model() : nullptr); break;
        case 5: set_plan(decoder, choice); break;
        case 6: ddpm_decoder_set_reader(decoder, file.data.size(), choice % 4 ? read : fail, &file); break;
        case 7: get_pixels(decoder, choice); break;
        case 8: set_pixels(decoder, choice); break;
        case 9: get_section(decoder, choice); break;
        case 10: get(ddpm_decoder_info, decoder, choice); break;
        case 11: get(ddpm_decoder_layout, decoder, choice); break;
        case 12: get(ddpm_decoder_verdict, decoder, choice); break;
    }
    ddpm_error kind = DDPM_OK;
    fuzz::require(ddpm_decoder_error(decoder, &kind) && kind != DDPM_ERROR_INTERNAL);
}

void decode(ddpm_decoder* decoder, File& file) {
    bool has_ended = false;
    while (true) switch (ddpm_decoder_advance(decoder, DDPM_FOREVER)) {
            case DDPM_NEED_BYTES:
                fuzz::require(!has_ended);
                feed(decoder, file, file.data.size() / 4 + 1);
                if (file.fed == file.data.size()) ddpm_decoder_finish(decoder), has_ended = true;
                break;
            case DDPM_NEED_MODEL:
                if (ddpm_decoder_set_model(decoder, model()) != DDPM_OK) return;
                break;
            case DDPM_DONE:
            case DDPM_ERROR: return;
            default: break;
        }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2 * CALLS) return 0;
    Choices calls({data, 2 * CALLS});
    File file{{data + 2 * CALLS, size - 2 * CALLS}};
    const std::unique_ptr<ddpm_decoder, decltype(&ddpm_decoder_free)> decoder(ddpm_decoder_new(), &ddpm_decoder_free);
    set_plan(decoder.get(), 0);  // for its limit
    for (int k = 0; k < CALLS; k++) {
        const uint8_t function = calls.byte();
        call(decoder.get(), file, function, calls.byte());
    }
    decode(decoder.get(), file);
    for (int function = 7; function < 13; function++) call(decoder.get(), file, uint8_t(function), 0);
    return 0;
}
