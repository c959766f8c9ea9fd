// The structs and enums of ddpm.h, from and to those of the core.
#pragma once
#include <climits>
#include <cstring>
#include <string>

#include "ddpm.h"
#include "decoder.h"

namespace ddpm {

inline constexpr uint32_t MOST_STEPS = 1000;  // more than any schedule has

inline void require(bool condition, const std::string& message) {
    if (!condition) throw Error(Fault::ARGUMENT, message);
}

// --- structs that grow

inline constexpr uint32_t LARGEST_STRUCT = 4096;  // bytes: a size that was not set is noticed

template <class Struct> void require_struct(const Struct* given) {
    require(given, "a struct is missing: its pointer is NULL");
    require(given->struct_size >= sizeof given->struct_size && given->struct_size <= LARGEST_STRUCT,
            "struct_size must be the size of the struct, not " + std::to_string(given->struct_size));
}

// Copies as much of a struct as the caller knows; fields of later versions become 0.
template <class Struct> void fill(Struct* out, Struct value) {
    require_struct(out);
    value.struct_size = out->struct_size;
    std::memset(static_cast<void*>(out), 0, out->struct_size);
    std::memcpy(static_cast<void*>(out), &value, std::min<size_t>(value.struct_size, sizeof value));
}

// Reads as much of a struct as the caller knows. Throws Error (ARGUMENT) if it sets fields of later versions.
template <class Struct> Struct known(const Struct* given) {
    require_struct(given);
    Struct copy{};
    std::memcpy(&copy, given, std::min<size_t>(given->struct_size, sizeof copy));
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(given);
    for (size_t k = sizeof copy; k < given->struct_size; k++) require(!bytes[k], "a struct has fields that this version of the library does not know");
    return copy;
}

// The number of threads that a caller chose.
inline int threads_of(uint32_t threads) {
    require(threads <= MOST_THREADS, "threads must be 0 to " + std::to_string(MOST_THREADS) + ", not " + std::to_string(threads));
    return threads ? int(threads) : 1;
}

inline PixelBox box_of(const ddpm_plan& plan) {
    const uint64_t right = uint64_t(plan.left) + plan.width, bottom = uint64_t(plan.top) + plan.height;
    require(plan.width && plan.height, "a box has one pixel at least: width and height must be 1 or more, or both 0");
    require(right <= INT_MAX && bottom <= INT_MAX, "the box ends at " + std::to_string(right) + ", " + std::to_string(bottom) + ", outside of every image");
    return {int(plan.left), int(plan.top), int(right), int(bottom)};
}

inline Plan plan_of(const ddpm_plan& plan) {
    Plan wanted;
    if (plan.left || plan.top || plan.width || plan.height) wanted.box = box_of(plan);
    const uint32_t scale = plan.scale ? plan.scale : 1;
    require(std::ranges::count(REDUCTIONS, int64_t(scale)) > 0, "scale must be 1, 2, 4, 8 or 16, not " + std::to_string(scale));
    require(scale == 1 || !plan.has_step, "a reduced picture has the steps that it needs: set scale or step");
    wanted.scale = int(scale);
    if (plan.has_step) wanted.step = int(std::min(plan.step, MOST_STEPS));
    wanted.is_partial = plan.partial;
    wanted.max_pixels = plan.max_pixels ? plan.max_pixels : DDPM_DEFAULT_MAX_PIXELS;
    return wanted;
}

// --- results

inline uint32_t channels_with_alpha(Mode mode) { return uint32_t(channels_of(mode) + has_alpha(mode)); }

inline ddpm_error error_of(Fault fault) {
    switch (fault) {
        case Fault::FORMAT: return DDPM_ERROR_FORMAT;
        case Fault::TRUNCATED: return DDPM_ERROR_TRUNCATED;
        case Fault::CHECKSUM: return DDPM_ERROR_CHECKSUM;
        case Fault::CORRUPT: return DDPM_ERROR_CORRUPT;
        case Fault::MODEL: return DDPM_ERROR_MODEL;
        case Fault::IMAGE: return DDPM_ERROR_IMAGE;
        case Fault::ARGUMENT: return DDPM_ERROR_ARGUMENT;
    }
    return DDPM_ERROR_INTERNAL;
}

inline ddpm_info info_of(const Header& header) {
    ddpm_info info{};
    info.width = uint32_t(header.width), info.height = uint32_t(header.height);
    info.mode = uint32_t(header.mode);
    info.channels = channels_with_alpha(header.mode);
    info.has_alpha = has_alpha(header.mode);
    info.bits = uint32_t(header.bits), info.sample_bits = uint32_t(header.source_bits);
    info.kind = uint32_t(header.kind);
    info.orientation = uint32_t(header.orientation);
    info.effort = uint32_t(header.effort), info.levels = uint32_t(header.levels), info.steps = uint32_t(header.steps());
    info.tile_width = uint32_t(header.tile_width), info.tile_height = uint32_t(header.tile_height), info.tiles = uint32_t(header.tile_count());
    info.model_number = uint32_t(header.model_number);
    std::ranges::copy(header.model_id, info.model_id);
    info.header_length = header.size, info.file_length = header.end();
    info.payload_offset = header.payload().begin, info.payload_length = header.payload().size();
    return info;
}

inline ddpm_verdict verdict_of(const Verdict& verdict) {
    ddpm_verdict result{};
    result.is_exact = verdict.is_exact, result.is_damaged = verdict.is_damaged, result.is_lossy = verdict.is_lossy;
    result.alpha_damaged = verdict.alpha_damaged, result.metadata_damaged = verdict.metadata_damaged;
    result.colours_exact = verdict.colours_exact;
    result.steps_done = uint32_t(verdict.steps_done), result.steps = uint32_t(verdict.steps);
    result.bytes_used = verdict.bytes_used, result.missing = verdict.missing, result.following = verdict.following;
    return result;
}

inline ddpm_event event_of(Event event) {
    switch (event) {
        case Event::NEED_BYTES: return DDPM_NEED_BYTES;
        case Event::NEED_MODEL: return DDPM_NEED_MODEL;
        case Event::NEED_PIXELS: return DDPM_NEED_PIXELS;
        case Event::MORE: return DDPM_MORE;
        case Event::PREVIEW: return DDPM_PREVIEW;
        case Event::DONE: return DDPM_DONE;
    }
    return DDPM_ERROR;
}

}  // namespace ddpm
