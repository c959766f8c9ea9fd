// What positions show those after them: the activations that their network saw.
#pragma once
#include <algorithm>
#include <cassert>
#include <cstring>

#include "contract.h"
#include "kernels.h"

namespace ddpm {

// Of a role's networks: what goes in and out. Width, depth, and what is shown are their own.
inline Sizes sizes_for(Role role, int components, int conditions) {
    Sizes sizes;
    sizes.inputs = inputs_of(role), sizes.outputs = outputs_in(role, components), sizes.conditions = conditions;
    sizes.neighbours = role == Role::PREVIEW ? AROUND : NEIGHBOURS;
    return sizes;
}

class ShownActivations {
  public:
    // Of positions that are computed wave by wave: keeps the latest columns of the latest rows. A row that takes another's place
    // begins after the last wave that sees that one.
    ShownActivations(const Network& network, int images, int height, int width)
        : width_(width), rows_(std::min(height, Waves{height, width}.most_rows() + 1)), columns_(std::min(width, COLUMNS)),
          size_(size_t(network.depth) * network.shown), nothing_(size_), kept_(size_t(images) * rows_ * columns_ * size_) {}

    // Of a position that is to be computed. It sees those to its left, above, and above the right one; what lies outside shows zeros.
    NeighbourActivations at(int n, int y, int x) {
        return {{x > 0 ? place(n, y, x - 1) : nothing_.data(), y > 0 ? place(n, y - 1, x) : nothing_.data(),
                 y > 0 && x + 1 < width_ ? place(n, y - 1, x + 1) : nothing_.data()},
                place(n, y, x)};
    }

    // Of a position that is not computed: it shows zeros.
    void clear(int n, int y, int x) { std::memset(place(n, y, x), 0, size_); }

  private:
    static constexpr int COLUMNS = 8;  // a row is DELAY ahead of the row below
    static_assert(COLUMNS > DELAY, "a row would overwrite what the row below still sees");

    uint8_t* place(int n, int y, int x) {
        assert(n >= 0 && y >= 0 && x >= 0 && x < width_);
        return kept_.data() + ((size_t(n) * rows_ + y % rows_) * columns_ + x % columns_) * size_;
    }

    int width_, rows_, columns_;
    size_t size_;
    std::vector<uint8_t> nothing_, kept_;
};

// Outputs of the pixels of one image, int32 [height width][outputs], of inputs uint8 [height width][stride], wave by wave.
inline std::vector<int32_t> outputs_of_image(const Network& network, int condition, const uint8_t* inputs, size_t stride, int height, int width) {
    ShownActivations activations(network, 1, height, width);
    Scratch scratch(network);
    std::vector<int32_t> outputs(size_t(height) * width * network.outputs), of_wave(size_t(height) * network.outputs);
    Aligned<uint8_t> rows(height * stride);
    std::vector<NeighbourActivations> shown(height);
    std::vector<size_t> at(height);
    const Waves waves{height, width};
    for (int wave = 0; wave < waves.count(); wave++) {
        int count = 0;
        for (int y = waves.first_row(wave); y < waves.end_row(wave); y++) {
            const int x = wave - DELAY * y;
            at[count] = size_t(y) * width + x;
            std::copy_n(inputs + at[count] * stride, stride, &rows[count * stride]);
            shown[count++] = activations.at(0, y, x);
        }
        run(network, {condition, rows.data(), stride, count}, of_wave.data(), scratch, shown.data());
        for (int k = 0; k < count; k++)
            std::copy_n(&of_wave[size_t(k) * network.outputs], network.outputs, &outputs[at[k] * network.outputs]);
    }
    return outputs;
}

}  // namespace ddpm
