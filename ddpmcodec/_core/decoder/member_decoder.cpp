#include "member_decoder.h"

#include <algorithm>

namespace ddpm {

namespace {

Header header_of(const Entry& entry, const BlockCoding& coding) {
    Header header;
    header.mode = entry.mode;
    header.width = header.tile_width = int(entry.width);
    header.height = header.tile_height = int(entry.height);
    header.effort = coding.effort, header.levels = coding.levels, header.repeats = coding.repeats;
    header.model_number = coding.model_number, header.model_id = coding.model_id;
    return header;
}

// Calls what reads something besides the colours. Returns whether it is damaged, if that is accepted; otherwise throws.
template <class Read> bool is_left_out(bool accepts_damage, Read read) {
    try {
        read();
        return false;
    } catch (const Error&) {
        if (!accepts_damage) throw;
        return true;
    }
}

}  // namespace

MemberDecoder::MemberDecoder(std::shared_ptr<const OpenArchive> archive, const Member& member, const Plan& plan)
    : archive_(std::move(archive)), member_(member), block_(archive_->block_of(member)), entry_(archive_->entry_of(member)), plan_(plan),
      header_(header_of(entry_, block_.coding.value())) {
    verdict_.steps = header_.steps();
}

Event MemberDecoder::advance(double seconds, int threads) {
    if (is_done_) return Event::DONE;
    if (!canvas_) make_plan();
    if (!has_read_alpha_)
        if (const std::optional<Event> event = decode_alpha(seconds, threads)) return *event;
    OpenArchive::Pixels run = archive_->kept(member_, false);
    if (!run && !model_) return Event::NEED_MODEL;
    if (!run && !(run = decoded(stream_of_colours(), *model_, seconds, threads))) return Event::MORE;
    place(*run);
    is_done_ = true;
    return Event::DONE;
}

void MemberDecoder::make_plan() {
    has_begun_ = true;
    const PixelBox region = region_of(plan_, header_);
    require_pixels(plan_, header_.width, header_.height);
    const Parts parts = archive_->archive().parts(member_.block);
    alpha_.plane.assign(has_alpha(header_.mode) ? region.pixels() : 0, OPAQUE);
    has_read_alpha_ = !entry_.is_alpha_in_run();
    if (has_read_alpha_) verdict_.alpha_damaged = is_left_out(plan_.is_partial, [&] { read_alpha(parts); });
    verdict_.metadata_damaged = is_left_out(plan_.is_partial, [&] { read_metadata(parts); });
    canvas_.emplace(region, header_.channels());
}

void MemberDecoder::read_alpha(const Parts& parts) {
    if (!has_alpha(header_.mode)) return;
    const std::vector<uint8_t> section = archive_->bytes(parts.sections[member_.position]);
    if (section.size() < entry_.length) throw Error(Fault::TRUNCATED, "the archive ends inside the alpha section of an image");
    alpha_ = parse_alpha(section, false, header_.width, header_.height, region_of(plan_, header_));
}

void MemberDecoder::read_metadata(const Parts& parts) {
    const auto value = [&](uint16_t number) { return number ? parse_metadata(archive_->bytes(parts.values[number - 1u])) : Metadata(); };
    Metadata metadata = value(entry_.exif);
    metadata[ICC_PROFILE] = value(entry_.icc)[ICC_PROFILE];
    metadata_ = std::move(metadata);
}

// Decodes the alpha planes of the run; an event while that is not done.
std::optional<Event> MemberDecoder::decode_alpha(double seconds, int threads) {
    OpenArchive::Pixels planes = archive_->kept(member_, true);
    if (!planes && !alpha_model_) return Event::NEED_MODEL;
    verdict_.alpha_damaged = is_left_out(plan_.is_partial, [&] {
        if (!planes) planes = decoded(stream_of_alpha(), *alpha_model_, seconds, threads);
    });
    if (verdict_.alpha_damaged) batch_.reset();
    if (!planes && !verdict_.alpha_damaged) return Event::MORE;
    if (planes) place_alpha(*planes);
    has_read_alpha_ = true;
    return std::nullopt;
}

void MemberDecoder::place_alpha(const std::vector<uint8_t>& planes) {
    const Bytes plane = Bytes(planes).subspan(place_in_alpha_stream() * size_t(entry_.pixels()), size_t(entry_.pixels()));
    Canvas region(region_of(plan_, header_), 1);
    region.place({0, 0, header_.width, header_.height}, {plane.begin(), plane.end()});
    alpha_.plane = region.pixels();
}

MemberDecoder::Stream MemberDecoder::stream_of_colours() const {
    const Run& run = block_.runs[member_.run];
    const ByteRange bytes = archive_->archive().parts(member_.block).streams[member_.run];
    return {false, bytes, run.length(), run.state_bytes, run.images, header_.channels(), header_.levels, header_.repeats};
}

MemberDecoder::Stream MemberDecoder::stream_of_alpha() const {
    const Run& run = block_.runs[member_.run];
    const ByteRange bytes = archive_->archive().parts(member_.block).alphas[member_.run];
    return {true, bytes, run.alpha_length(), run.alpha_state_bytes, run.alpha_images, 1, 0, block_.coding->alpha_repeats};
}

// How many planes precede this one there.
size_t MemberDecoder::place_in_alpha_stream() const {
    const auto end = block_.entries.begin() + ptrdiff_t(member_.position);
    return size_t(std::count_if(end - ptrdiff_t(member_.image), end, [](const Entry& entry) { return entry.is_alpha_in_run(); }));
}

// The images of the run, or their alpha planes; null at the end of the time.
OpenArchive::Pixels MemberDecoder::decoded(const Stream& stream, const Model& model, double seconds, int threads) {
    if (!batch_) {
        const std::vector<uint8_t> bytes = archive_->bytes(stream.bytes);
        if (bytes.size() < stream.length) throw Error(Fault::TRUNCATED, "the archive ends inside a block");
        batch_.emplace(model, stream.levels, Batch::Shape{stream.images, header_.height, header_.width, stream.channels, true, stream.repeats}, threads);
        batch_->add(bytes, stream.state_bytes, {});
    }
    if (!batch_->advance(deadline_after(seconds))) return nullptr;
    auto pixels = std::make_shared<const std::vector<uint8_t>>(batch_->image(0));
    if (pixels->empty()) throw Error(Fault::CHECKSUM, "a block decodes to other images than were encoded: the data is damaged");
    batch_.reset();
    archive_->keep(member_, stream.is_alpha, pixels);
    return pixels;
}

void MemberDecoder::place(const std::vector<uint8_t>& run) {
    const size_t size = size_t(entry_.pixels()) * size_t(header_.channels());
    const Bytes image = Bytes(run).subspan(member_.image * size, size);
    canvas_->place({0, 0, header_.width, header_.height}, {image.begin(), image.end()});
    verdict_.colours_exact = true;
    verdict_.is_damaged = verdict_.alpha_damaged || verdict_.metadata_damaged;
    verdict_.is_exact = !verdict_.is_damaged && plan_.scale == 1;
    verdict_.steps_done = verdict_.steps;
    const Run& coded = block_.runs[member_.run];
    verdict_.bytes_used = coded.length() + (entry_.is_alpha_in_run() ? coded.alpha_length() : entry_.length);
}

Picture MemberDecoder::picture(int) {
    if (!canvas_) throw Error(Fault::ARGUMENT, "nothing is known of an image before `advance` has accepted the plan");
    const PixelBox region = region_of(plan_, header_);
    return reduced({header_.mode, region.width(), region.height(), canvas_->pixels(), alpha_.plane, {}}, plan_.scale);
}

}  // namespace ddpm
