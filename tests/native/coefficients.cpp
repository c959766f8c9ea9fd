// The coder of JPEG coefficients.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "coefficient_pass.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

using Values = nb::ndarray<const int16_t, nb::shape<-1, -1, BLOCK_VALUES>, nb::c_contig, nb::device::cpu>;

Bytes bytes_of(const nb::bytes& data) { return {reinterpret_cast<const uint8_t*>(data.data()), data.size()}; }

JpegComponent component_of(int rows, int columns, const std::vector<uint16_t>& steps) {
    if (steps.size() != BLOCK_VALUES) throw std::invalid_argument("a component has 64 steps");
    JpegComponent component;
    component.columns = columns, component.rows = rows;
    std::copy(steps.begin(), steps.end(), component.steps.begin());
    component.values.resize(size_t(std::max(rows, 0)) * size_t(std::max(columns, 0)) * BLOCK_VALUES);
    return component;
}

// components: steps by rank, and int16 [rows, columns, rank]. Returns the chunks and the ideal code length in bits.
nb::tuple encode(const CoefficientModel& model, int effort, const std::vector<std::tuple<std::vector<uint16_t>, Values>>& components, int levels) {
    Coefficients tile;
    for (const auto& [steps, values] : components) {
        tile.components.push_back(component_of(int(values.shape(0)), int(values.shape(1)), steps));
        std::copy_n(values.data(), values.size(), tile.components.back().values.begin());
    }
    std::vector<std::vector<uint8_t>> chunks;
    double bits = 0;
    {
        nb::gil_scoped_release unlocked;
        CoefficientPass pass(model.networks(effort), tile, levels);
        pass.encode();
        pass.advance(pass.segments());
        chunks = pass.chunks(), bits = pass.bits();
    }
    nb::list list;
    for (const std::vector<uint8_t>& chunk : chunks) list.append(nb::bytes(reinterpret_cast<const char*>(chunk.data()), chunk.size()));
    return nb::make_tuple(list, bits);
}

// components: steps by rank, rows, columns. Returns values of all components, segments that are done, and whether all ended well. is_cut: the
// last chunk may be. with_means: conditional means stand for coefficients that are not known.
nb::tuple decode(const CoefficientModel& model, int effort, const std::vector<std::tuple<std::vector<uint16_t>, int, int>>& components,
                 const std::vector<nb::bytes>& chunks, bool is_cut, bool with_means, int levels) {
    Coefficients tile;
    for (const auto& [steps, rows, columns] : components) tile.components.push_back(component_of(rows, columns, steps));
    CoefficientPass pass(model.networks(effort), tile, levels);
    for (size_t k = 0; k < chunks.size(); k++) {
        CoefficientChunk chunk = parse_coefficient_chunk(bytes_of(chunks[k]), k == 0);
        const bool is_cut_here = is_cut && k + 1 == chunks.size();
        if (k == 0) pass.decode(std::move(chunk), is_cut_here);
        else pass.extend(chunk.words);
        if (is_cut_here) pass.set_cut();
        nb::gil_scoped_release unlocked;
        pass.advance(int(k) + 1);
    }
    const bool has_ended_well = pass.has_ended_well();
    if (with_means) tile = pass.expected();
    nb::list values;
    for (JpegComponent& component : tile.components) {
        const size_t rows = size_t(component.rows), columns = size_t(component.columns);
        values.append(array_of(std::move(component.values), {rows, columns, size_t(BLOCK_VALUES)}));
    }
    return nb::make_tuple(values, pass.segments_done(), has_ended_well);
}

}  // namespace

void bind_coefficient_parts(nb::module_& m) {
    m.def("encode_coefficients", &encode, "model"_a, "effort"_a, "components"_a, nb::kw_only(), "levels"_a = 0);
    m.def("decode_coefficients", &decode, "model"_a, "effort"_a, "components"_a, "chunks"_a, "is_cut"_a = false, "with_means"_a = false, "levels"_a = 0);
}

}  // namespace ddpm
