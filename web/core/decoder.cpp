// The decoder for WebAssembly: networks, passes and previews behind functions of numbers and addresses, which src/core.js
// calls. It holds what the Python package has around the core in `models/context.py` and `codec/passes.py`.
//
// What goes wrong ends a call with 0, and `message` says what it was.
#include <cstring>
#include <new>
#include <stdexcept>

#include "canvas.h"
#include "inflate.h"
#include "learning_rules.h"

#define EXPORT extern "C" __attribute__((used, visibility("default")))

namespace ddpm {
namespace {

constexpr int LANES = 4;

using Shared = std::shared_ptr<const Trained>;

std::string last_message;

// What `work` gives, or 0.
template <class Work> auto guarded(Work work) -> decltype(work()) {
    try {
        return work();
    } catch (const std::bad_alloc&) {
        last_message = "there is not enough memory for this image";
    } catch (const std::exception& error) {
        last_message = error.what();
    }
    return {};
}

// Tensors of a network in a known order, each in as many bytes as it must have.
class Tensors {
  public:
    Tensors(const void* const* data, const uint32_t* bytes, int count) : data_(data), bytes_(bytes), count_(count) {}

    template <class T> const T* next(size_t size) {
        if (at_ == count_) throw std::invalid_argument("tensors are missing");
        if (bytes_[at_] != size * sizeof(T)) throw std::invalid_argument("a tensor has another shape");
        return static_cast<const T*>(data_[at_++]);
    }

    const int8_t* weights(const std::string&, int outputs, int inputs) { return next<int8_t>(size_t(outputs) * inputs); }
    const float* factors(const std::string&, int count) { return next<float>(count); }
    const float* biases(const std::string&, int conditions, int count) { return next<float>(size_t(conditions) * count); }

    // How many rows of `columns` numbers a tensor has.
    int count_rows(int tensor, int columns) const { return tensor < count_ ? int(bytes_[tensor] / (columns * sizeof(float))) : 0; }
    // How many bytes a row has.
    int row_bytes(int tensor, int rows) const { return tensor < count_ ? int(bytes_[tensor] / rows) : 0; }

  private:
    const void* const* data_;
    const uint32_t* bytes_;
    const int count_;
    int at_ = 0;
};

constexpr int STEM_BIAS = 2, FIRST_BLOCK = 3;  // behind weight and factor of the stem; weight

Shared trained_of(Role role, int components, int width, int depth, Tensors tensors) {
    require_components(components);
    if (width < 1 || width > LARGEST_WIDTH || depth < 1 || depth > LARGEST_DEPTH)
        throw std::invalid_argument("a network has up to 8 blocks of a width up to 512");
    Sizes sizes = sizes_for(role, components, conditions_of(role, tensors.count_rows(STEM_BIAS, width)));
    sizes.width = width, sizes.depth = depth;
    sizes.shown = shown_by(tensors.row_bytes(FIRST_BLOCK, width), width, sizes.neighbours);
    return std::make_shared<Trained>(Trained{network_of(tensors, sizes), components});
}

}  // namespace
}  // namespace ddpm

using namespace ddpm;

// One more whenever what src/core.js calls changes, there as well: a page may find these files of two versions.
EXPORT int interface_version() { return 2; }

EXPORT const char* message() { return last_message.c_str(); }

// --- models

// role: 0 a band, 1 straight to exact, 2 after noise levels, 3 of previews. Of stem, blocks, head, skip: weight int8, factor, and of stem
// and head bias float32; `count` tensors.
EXPORT Shared* network_new(int role, int components, int width, int depth, const void* const* data, const uint32_t* bytes, int count) {
    return guarded([&] { return new Shared(trained_of(Role(role), components, width, depth, Tensors(data, bytes, count))); });
}

EXPORT void network_free(Shared* network) { delete network; }

// --- a tile

// networks: of exact pixels, and where there are noise levels of the three kinds of bands, and that of previews if there is one.
EXPORT Pass* pass_new(Shared* const* networks, int count, int levels, int height, int width, int channels, int has_lanes) {
    return guarded([&] {
        std::vector<Shared> all;
        for (int k = 0; k < count; k++) all.push_back(*networks[k]);
        const bool learns = int64_t(height) * width >= LEARNING_PIXELS;
        return new Pass(model_of(all, levels), levels, Layout{1, height, width, channels, has_lanes ? LANES : 1, learns, 1});
    });
}

EXPORT void pass_free(Pass* pass) { delete pass; }

// words: of one stream after the other, `counts` of each. is_cut: they are known not to be all.
EXPORT int pass_begin(Pass* pass, const uint64_t* states, const uint32_t* words, const uint32_t* counts, int for_previews, int is_cut) {
    return guarded([&] {
        std::vector<uint64_t> own(states, states + pass->layout().streams);
        std::vector<std::vector<uint32_t>> lists;
        for (size_t s = 0; s < own.size(); words += counts[s++]) lists.emplace_back(words, words + counts[s]);
        pass->decode(own, std::move(lists), for_previews, is_cut);
        return 1;
    });
}

EXPORT int pass_extend(Pass* pass, int stream, const uint32_t* words, uint32_t count) {
    return guarded([&] { return pass->extend(stream, words, count), 1; });
}

// Codes so many waves, and no further than the end of `segment`: 1 more than the number of segments that are done.
EXPORT int pass_advance(Pass* pass, int waves, int segment) {
    return guarded([&] { return 1 + pass->advance(waves, segment); });
}

EXPORT int pass_has_ended(const Pass* pass) { return pass->ended(); }
EXPORT int pass_is_exact(const Pass* pass) { return pass->is_exact(); }

// Whether all words were taken, and the check is what the streams end with.
EXPORT int pass_agrees(const Pass* pass, uint32_t check) {
    for (int s = 0; s < pass->layout().streams; s++) {
        const Reader& reader = pass->reader(s);
        if (reader.state != LEAST_STATE + check || reader.position != reader.words.size()) return 0;
    }
    return 1;
}

// Pixels uint8 [H, W, C] that are exact, and which are: uint8 [H, W].
EXPORT void pass_pixels(const Pass* pass, uint8_t* out, uint8_t* known) { pass->pixels(out, known); }

// --- previews

EXPORT Canvas* canvas_new(int height, int width, int channels) {
    return guarded([&] { return new Canvas(height, width, channels); });
}

EXPORT void canvas_free(Canvas* canvas) { delete canvas; }

EXPORT int canvas_place(Canvas* canvas, int top, int left, const Pass* pass) {
    return guarded([&] { return canvas->place(top, left, *pass), 1; });
}

// uint8 [H, W, C], which the next tile changes.
EXPORT const uint8_t* canvas_shown(const Canvas* canvas) { return canvas->shown(); }

// --- sections

// Raw deflate: up to `most` bytes of out; -1 for what no deflate stream has, otherwise how many. has_ended: the stream and
// the data ended there together.
EXPORT int inflate(const uint8_t* data, uint32_t size, uint8_t* out, uint32_t most, int* has_ended) {
    return guarded([&] {
        Inflater inflater(data, size, out, most);
        const bool is_sound = inflater.run();
        *has_ended = inflater.has_ended();
        return is_sound ? int(inflater.written()) : -1;
    });
}
