#include "coder_answer.h"

#include <mutex>

#include "checksums.h"
#include "known_answer.h"
#include "pass.h"
#include "shown.h"
#include "streams.h"

namespace ddpm {

namespace {

constexpr const char* ANSWER = "92f53d11c635a47c107377e6d3e26dc111d63c88d8f4b8c629f788a1c60c8451";
constexpr int WIDTH = 32, DEPTH = 2, COMPONENTS = 3, SHOWN = 16;
constexpr int HEIGHT = 26, COLUMNS = 22, LEVELS = 5, STREAMS = 2, CHECK = 1;

// The tensors of a network, from numbers that are drawn for each layer. Factors and biases are short binary fractions.
class DrawnTensors {
  public:
    const int8_t* weights(const std::string& name, int outputs, int inputs) {
        Philox numbers(3 * layer_of(name));
        weights_.resize(size_t(outputs) * size_t(inputs));
        for (int8_t& weight : weights_) weight = int8_t(int(numbers.next() % 64) - 32);
        return weights_.data();
    }
    const float* factors(const std::string& name, int count) {
        const float unit = name.starts_with("block") ? 1.0f / 128 : name.starts_with("head") ? 1.0f / 32 : 1.0f / 256;
        return drawn(3 * layer_of(name) + 1, size_t(count), 5, [&](int number) { return unit * float(2 + number) / 4; });
    }
    const float* biases(const std::string& name, int conditions, int count) {
        const int least = name.starts_with("head") ? 20 : -32;
        return drawn(3 * layer_of(name) + 2, size_t(conditions) * size_t(count), 64, [&](int number) { return float(least + number); });
    }

  private:
    // Its number in the order stem, blocks, head, skip.
    static uint64_t layer_of(const std::string& name) {
        if (name.starts_with("stem")) return 0;
        if (name.starts_with("block")) return 1 + uint64_t(name[5] - '0');
        return name.starts_with("head") ? DEPTH + 1 : DEPTH + 2;
    }
    template <class Value> const float* drawn(uint64_t key, size_t count, uint64_t most, Value value) {
        Philox numbers(key);
        floats_.resize(count);
        for (float& number : floats_) number = value(int(numbers.next() % most));
        return floats_.data();
    }

    std::vector<int8_t> weights_;
    std::vector<float> floats_;
};

std::shared_ptr<const Trained> network(Role role, int components = COMPONENTS) {
    Sizes sizes = sizes_for(role, components, role == Role::BAND ? CONDITIONS : 1);
    sizes.width = WIDTH, sizes.depth = DEPTH, sizes.shown = SHOWN;
    DrawnTensors tensors;
    return std::make_shared<const Trained>(Trained{network_of(tensors, sizes), components});
}

std::vector<uint8_t> picture() {
    Philox numbers(1);
    std::vector<uint8_t> pixels;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < COLUMNS; x++)
            for (const int smooth : {9 * x + y, 240 - 7 * y, x > y ? 60 : 190}) pixels.push_back(uint8_t(smooth + int(numbers.next() % 12)));
    return pixels;
}

void add_streams(Sha256& hash, const std::vector<std::shared_ptr<const Trained>>& networks, int levels) {
    Pass pass(model_of(networks, levels), levels, {1, HEIGHT, COLUMNS, CHANNELS, STREAMS, true, 1});
    pass.encode(picture().data(), false);
    pass.advance(1 << 30, pass.segments());
    for (int s = 0; s < STREAMS; s++) {
        const Stream stream = packed(pass.symbols(s), pass.ends(s), CHECK);
        ByteWriter bytes;
        bytes.integer(stream.state, sizeof stream.state);
        for (const std::vector<uint32_t>& words : stream.words)
            for (const uint32_t word : words) bytes.integer(word, sizeof word);
        hash.add(bytes.bytes());
    }
}

}  // namespace

std::string coder_answer() {
    Sha256 hash;
    add_streams(hash, {network(Role::DIRECT)}, 0);
    add_streams(hash, {network(Role::LAST), network(Role::BAND), network(Role::BAND), network(Role::BAND)}, LEVELS);
    add_streams(hash, {network(Role::DIRECT, 1)}, 0);
    return hex(hash.digest());
}

void require_coder_answer() {
    static std::once_flag asked;
    static bool is_right = false;
    std::call_once(asked, [] { is_right = coder_answer() == ANSWER; });
    if (!is_right)
        throw Error(Fault::MODEL, "this process does not compute what every other does, and what it encodes would decode nowhere else: the compiled core"
                                  " or the processor is at fault; install ddpmcodec again");
}

}  // namespace ddpm
