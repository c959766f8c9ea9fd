// Fuzzes the reader of model files. The first byte chooses: a file under its seal, a file whose seal is not checked, or a header of
// JSON, to which the target adds its length before and zeros as tensors after.
#include "fuzz.h"

using namespace ddpm;

namespace {

std::vector<uint8_t> with_tensors(fuzz::Choices choices) {
    const size_t tensors = choices.word();
    const Bytes header = choices.rest();
    std::vector<uint8_t> file;
    for (int k = 0; k < 8; k++) file.push_back(uint8_t(uint64_t(header.size()) >> (8 * k)));
    file.insert(file.end(), header.begin(), header.end());
    file.resize(file.size() + tensors);
    return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static constexpr Digest ID{};
    fuzz::Choices choices({data, size});
    const int kind = choices.byte() % 3;
    const std::vector<uint8_t> file = kind == 2 ? with_tensors(choices) : std::vector<uint8_t>(choices.rest().begin(), choices.rest().end());
    std::shared_ptr<const ContextModel> model;
    try {
        model = ContextModel::parse(file, "the model", 0, kind == 0 ? nullptr : &ID);
    } catch (const Error& error) {
        fuzz::require(error.fault == Fault::MODEL);
        return 0;
    }
    for (int effort = 1; effort <= MAX_EFFORT; effort++)
        for (const int levels : {0, 2, 5}) try {
                model->networks(effort, levels);
            } catch (const Error& error) {
                fuzz::require(error.fault == Fault::MODEL);
            }
    return 0;
}
