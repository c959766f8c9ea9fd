// The known answer of codec/known_answer.py from the core alone, for processors that have no Python here.
//
// Reads the networks and the picture from a file of test_other_processors.py, prints the streams' bytes, and ends with
// 1 unless they decode to the picture.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "pass.h"
#include "streams.h"

using namespace ddpm;

namespace {

template <class T> std::vector<T> read(std::istream& file, size_t count) {
    std::vector<T> found(count);
    if (!file.read(reinterpret_cast<char*>(found.data()), std::streamsize(count * sizeof(T)))) throw std::runtime_error("too short");
    return found;
}

// The tensors of a network, one after the other.
class Tensors {
  public:
    explicit Tensors(std::istream& file) : file_(file) {}

    const int8_t* weights(const std::string&, int outputs, int inputs) {
        weights_ = read<int8_t>(file_, size_t(outputs) * inputs);
        return weights_.data();
    }
    const float* factors(const std::string&, int count) { return numbers(count); }
    const float* biases(const std::string&, int conditions, int count) { return numbers(size_t(conditions) * count); }

  private:
    const float* numbers(size_t count) {
        numbers_ = read<float>(file_, count);
        return numbers_.data();
    }

    std::istream& file_;
    std::vector<int8_t> weights_;
    std::vector<float> numbers_;
};

std::shared_ptr<const Trained> read_network(std::istream& file, Role role) {
    const std::vector<int32_t> numbers = read<int32_t>(file, 4);
    const int components = numbers[2];
    Sizes sizes = sizes_for(role, components, role == Role::BAND ? CONDITIONS : 1);
    sizes.width = numbers[0], sizes.depth = numbers[1], sizes.shown = shown_by(numbers[3], sizes.width, sizes.neighbours);
    Tensors tensors(file);
    return std::make_shared<Trained>(Trained{network_of(tensors, sizes), components});
}

void put(uint64_t value, int bytes) {
    for (int b = 0; b < bytes; b++) std::putchar(int(value >> (8 * b) & 255));
}

bool encode(const Model& model, int levels, const Layout& layout, const std::vector<uint8_t>& picture) {
    constexpr int ALL = 1 << 30;
    Pass encoder(model, levels, layout);
    encoder.encode(picture.data(), false);
    encoder.advance(ALL, encoder.segments());
    std::vector<uint64_t> states;
    std::vector<std::vector<uint32_t>> words;
    for (int s = 0; s < layout.streams; s++) {
        const Stream stream = packed(encoder.symbols(s), encoder.ends(s), 1);
        put(stream.state, 8);
        states.push_back(stream.state);
        words.emplace_back();
        for (const std::vector<uint32_t>& segment : stream.words)
            for (uint32_t word : segment) put(word, 4), words.back().push_back(word);
    }
    Pass decoder(model, levels, layout);
    decoder.decode(states, words, false, false);
    decoder.advance(ALL, decoder.segments());
    std::vector<uint8_t> pixels(picture.size()), known(size_t(layout.images) * layout.height * layout.width);
    decoder.pixels(pixels.data(), known.data());
    return decoder.is_exact() && pixels == picture;
}

}  // namespace

int main(int, char** arguments) {
    std::ifstream file(arguments[1], std::ios::binary);
    const auto direct = read_network(file, Role::DIRECT);
    std::vector<std::shared_ptr<const Trained>> networks{read_network(file, Role::LAST)};
    for (int k = 0; k < BAND_KINDS; k++) networks.push_back(read_network(file, Role::BAND));
    const auto single_logistic = read_network(file, Role::DIRECT);
    const std::vector<int32_t> size = read<int32_t>(file, 2);
    const std::vector<uint8_t> picture = read<uint8_t>(file, size_t(size[0]) * size[1] * 3);
    const Layout layout{1, size[0], size[1], 3, 2, true, 2};
    const bool straight = encode(model_of({direct}, 0), 0, layout, picture);
    const bool after_levels = encode(model_of(networks, 5), 5, layout, picture);
    const bool fast = encode(model_of({single_logistic}, 0), 0, layout, picture);
    return straight && after_levels && fast ? 0 : 1;
}
