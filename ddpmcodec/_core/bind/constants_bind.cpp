// What the format fixes, for those who write it: Python has no copy of these numbers.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "archive.h"
#include "encoder.h"
#include "grid.h"
#include "coefficients.h"
#include "block_search.h"
#include "container.h"
#include "contract.h"
#include "ddpm.h"
#include "inputs.h"
#include "kernels_table.h"
#include "logistic.h"
#include "model_file.h"
#include "python_source.h"
#include "ranks.h"
#include "rans.h"
#include "recipe.h"
#include "schedule.h"
#include "sections.h"
#include "threads.h"

namespace nb = nanobind;

namespace ddpm {

namespace {

template <class Names> nb::tuple names_of(const Names& names) { return nb::tuple(nb::cast(std::vector<std::string>(std::begin(names), std::end(names)))); }

void bind_header_constants(nb::module_& m) {
    m.attr("MAGIC") = bytes_of(MAGIC);
    m.attr("VERSION") = VERSION;
    m.attr("VERSION_SHIFT") = VERSION_SHIFT, m.attr("SQUARE_FLAG") = SQUARE_FLAG, m.attr("TILED_FLAG") = TILED_FLAG, m.attr("SECTIONS_FLAG") = SECTIONS_FLAG;
    m.attr("MODES") = names_of(MODE_NAMES);
    nb::list with_alpha;
    for (int mode = 0; mode < MODES; mode++)
        if (has_alpha(Mode(mode))) with_alpha.append(MODE_NAMES[mode]);
    m.attr("ALPHA_MODES") = nb::tuple(with_alpha);
    m.attr("EFFORT_SHIFT") = EFFORT_SHIFT, m.attr("REPEATS_FLAG") = REPEATS_FLAG, m.attr("REPEATS_UNIT") = REPEATS_UNIT, m.attr("EXTENDED_FLAG") = EXTENDED_FLAG;
    m.attr("DEPTH_SHIFT") = DEPTH_SHIFT, m.attr("SAMPLE_BITS") = SAMPLE_BITS;
    m.attr("KINDS") = names_of(KIND_NAMES);
    m.attr("MIN_EFFORT") = MIN_EFFORT, m.attr("MAX_EFFORT") = MAX_EFFORT;
    m.attr("MODEL_ID_BYTES") = MODEL_ID_BYTES;
    m.attr("EMBEDDED_MODELS") = names_of(EMBEDDED_MODELS);
    m.attr("UPRIGHT") = UPRIGHT;
    m.attr("ALPHA_TAG") = ALPHA, m.attr("METADATA_TAG") = METADATA, m.attr("FRAME_TAG") = FRAME, m.attr("RECIPE_TAG") = RECIPE, m.attr("KEPT_TAG") = KEPT;
    m.attr("CODED_ALPHA") = CODED_ALPHA, m.attr("CODED_ALPHA_REPEATS") = CODED_ALPHA_REPEATS;
    m.attr("LOW_BITS_TAG") = LOW_BITS, m.attr("SCALINGS") = names_of(SCALING_NAMES), m.attr("SCALING_SHIFT") = SCALING_SHIFT;
    m.attr("MAX_PIXELS") = MAX_PIXELS;
    m.attr("MAX_CHUNKS") = MAX_CHUNKS, m.attr("MAX_TILE_PIXELS") = MAX_TILE_PIXELS;
    m.attr("MAX_METADATA") = MAX_METADATA;
    m.attr("MAX_KEPT") = MAX_KEPT, m.attr("MAX_ENDING") = MAX_ENDING;
    m.attr("MAX_JPEG_BYTES") = MAX_JPEG_BYTES;
    m.attr("END_MARK") = bytes_of(END_MARK), m.attr("MARK_BYTES") = MARK_BYTES;
}

void bind_stream_constants(nb::module_& m) {
    m.attr("LANES") = LANES;
    m.attr("WORD_BYTES") = WORD_BYTES;
    m.attr("LEAST_STATE") = LEAST_STATE, m.attr("MOST_STATE") = MOST_STATE;
    m.attr("LEAST_STATE_BYTES") = LEAST_STATE_BYTES, m.attr("STATE_SIZES") = STATE_SIZES;
    m.attr("CHECK_BITS") = PRECISION;
    m.attr("CRC16_BYTES") = CRC16_BYTES, m.attr("CRC32_BYTES") = CRC32_BYTES;
    m.attr("MAX_VARINT_BYTES") = MAX_VARINT_BYTES;
    m.attr("SEGMENTS_OF_LEVEL") = std::size(GROUPS), m.attr("SEGMENTS_OF_EXACT") = EXACT_SEGMENTS;
    m.attr("SEGMENTS_OF_JPEG") = JPEG_SEGMENTS, m.attr("MOST_JPEG_LEVELS") = MOST_JPEG_LEVELS, m.attr("BLOCK_SIDE") = BLOCK_SIDE;
    nb::list levels;
    for (const Schedule& schedule : SCHEDULES) levels.append(schedule.levels);
    m.attr("LEVELS") = nb::tuple(levels);
}

void bind_archive_constants(nb::module_& m) {
    m.attr("ARCHIVE_MAGIC") = bytes_of(ARCHIVE_MAGIC), m.attr("BLOCK_MARK") = bytes_of(BLOCK_MARK);
    m.attr("ARCHIVE_VERSION") = ARCHIVE_VERSION;
    m.attr("MAX_IMAGES") = MAX_IMAGES;
    m.attr("MAX_BLOCK_IMAGES") = MAX_BLOCK_IMAGES;
    m.attr("MAX_RUN_PIXELS") = MAX_RUN_PIXELS;
    m.attr("MAX_LATENT_LEVELS") = MAX_LATENT_LEVELS;
    m.attr("MAX_LATENT_LEVEL") = MAX_LATENT_LEVEL;
    m.attr("MAX_NAME") = MAX_NAME, m.attr("MAX_LETTERS") = MAX_LETTERS;
}

// Of model files, and of the integers that networks read and write.
void bind_network_constants(nb::module_& m) {
    m.attr("MODEL_FORMAT") = MODEL_FORMAT, m.attr("LARGEST_MODEL_HEADER") = LARGEST_MODEL_HEADER, m.attr("LARGEST_NUMBER") = LARGEST_NUMBER;
    m.attr("ZERO") = ZERO, m.attr("ONE_INPUT") = ONE_INPUT, m.attr("OUTPUT_LIMIT") = int(OUTPUT_LIMIT);
    m.attr("MEAN_UNIT") = MEAN_UNIT, m.attr("SCALES") = SCALES, m.attr("CORRECTION_UNIT") = CORRECTION_UNIT;
}

}  // namespace

void bind_constants(nb::module_& m) {
    bind_header_constants(m);
    bind_stream_constants(m);
    bind_archive_constants(m);
    bind_network_constants(m);
    m.attr("SINGLE_STREAM_PIXELS") = SINGLE_STREAM_PIXELS;
    m.attr("LEAST_TILE_SIDE") = LEAST_TILE_SIDE, m.attr("MOST_TILE_SIDE") = MOST_TILE_SIDE, m.attr("TILE_SIDE_STEP") = TILE_SIDE_STEP;
    m.attr("DEFAULT_EFFORT") = DEFAULT_EFFORT, m.attr("DEFAULT_LEVELS") = DEFAULT_LEVELS;
    m.attr("DEFAULT_MAX_PIXELS") = uint64_t(DDPM_DEFAULT_MAX_PIXELS), m.attr("MOST_THREADS") = MOST_THREADS;
}

}  // namespace ddpm
