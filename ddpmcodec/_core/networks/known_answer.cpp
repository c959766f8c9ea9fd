#include "known_answer.h"

#include <set>

#include "checksums.h"
#include "environment.h"
#include "preview_network.h"
#include "shown.h"

namespace ddpm {

namespace {

constexpr int ANSWER_ROWS = 24, ANSWER_WIDTH = 6;  // pixels of a small image, as far as a network looks at others'
constexpr uint64_t SEED = 1;
constexpr int PHILOX_ROUNDS = 10;

struct Product {
    uint64_t high, low;
};

// 128 bits of a product, without the types that only some compilers have.
Product product_of(uint64_t a, uint64_t b) {
    constexpr uint64_t LOW = 0xFFFFFFFF;
    const uint64_t low = (a & LOW) * (b & LOW), cross = (a >> 32) * (b & LOW) + (low >> 32);
    const uint64_t other = (a & LOW) * (b >> 32) + (cross & LOW);
    return {(a >> 32) * (b >> 32) + (cross >> 32) + (other >> 32), a * b};
}

// Inputs of the small image, each in the low byte of a number: uint8 [ANSWER_ROWS][stride].
std::vector<uint8_t> seeded_rows(int inputs, size_t stride) {
    Philox numbers(SEED);
    std::vector<uint8_t> rows(size_t(ANSWER_ROWS) * stride);
    for (size_t row = 0; row < size_t(ANSWER_ROWS); row++)
        for (size_t k = 0; k < size_t(inputs); k++) rows[row * stride + k] = uint8_t(numbers.next());
    return rows;
}

std::vector<int32_t> predicted(const Trained& trained, const InputRows& inputs, int together) {
    const size_t width = size_t(trained.network.outputs);
    std::vector<int32_t> outputs(size_t(inputs.count) * width);
    for (size_t row = 0; row < size_t(inputs.count); row += size_t(together))
        trained.predict({inputs.condition, inputs.rows + row * inputs.stride, inputs.stride, together}, &outputs[row * width]);
    return outputs;
}

std::vector<int32_t> outputs_of(const Trained& trained, const InputRows& inputs) {
    const Network& network = trained.network;
    const int height = ANSWER_ROWS / ANSWER_WIDTH;
    const IeeeArithmetic arithmetic;
    if (network.neighbours == AROUND) return convolved(network, inputs.rows, inputs.stride, height, ANSWER_WIDTH);
    return outputs_of_image(network, inputs.condition, inputs.rows, inputs.stride, height, ANSWER_WIDTH);
}

}  // namespace

Philox::Block Philox::block() const {
    Block value = counter_;
    std::array<uint64_t, 2> key = key_;
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const Product first = product_of(0xD2E7470EE14C6C93, value[0]), second = product_of(0xCA5A826395121157, value[2]);
        value = {second.high ^ value[1] ^ key[0], second.low, first.high ^ value[3] ^ key[1], first.low};
        key[0] += 0x9E3779B97F4A7C15, key[1] += 0xBB67AE8584CAA73B;
    }
    return value;
}

uint64_t Philox::next() {
    if (used_ == held_.size()) {
        for (uint64_t& part : counter_)  // the carry goes on where a part became 0
            if (++part) break;
        held_ = block();
        used_ = 0;
    }
    return held_[used_++];
}

std::string answer_of(const Trained& trained, Role role, bool one_by_one) {
    const int conditions = trained.network.conditions, inputs = inputs_of(role);
    const size_t stride = size_t(rounded_up(inputs, ROW_UNIT));
    const std::vector<uint8_t> rows = seeded_rows(inputs, stride);
    Sha256 hash;
    for (const int condition : std::set{0, conditions / 2, conditions - 1}) {
        const InputRows asked{condition, rows.data(), stride, ANSWER_ROWS};
        const std::vector<int32_t> outputs = trained.predict ? predicted(trained, asked, one_by_one ? 1 : ANSWER_ROWS) : outputs_of(trained, asked);
        hash.add({reinterpret_cast<const uint8_t*>(outputs.data()), outputs.size() * sizeof(int32_t)});
    }
    return hex(hash.digest());
}

}  // namespace ddpm
