// The decoder of .ddpm files: bytes -> Container -> Plan -> PixelTiles or JpegTiles -> PictureBuffer -> Verdict. A whole image, a prefix, a
// part, a reduced image, a thumbnail, and a file that arrives are plans of this one engine.
#pragma once
#include <memory>
#include <optional>

#include "alpha_tiles.h"
#include "container.h"
#include "image_decoder.h"
#include "plan.h"
#include "jpeg_tiles.h"
#include "low_bits_tiles.h"
#include "picture_buffer.h"
#include "pixel_tiles.h"

namespace ddpm {

class Decoder : public ImageDecoder {
  public:
    explicit Decoder(Plan plan) : plan_(plan) {}

    // --- bytes: either one after the other, or all of them in a source that outlives the decoder

    void feed(Bytes data);
    void finish() { is_last_ = true; }  // nothing follows
    void open(std::shared_ptr<const Source> source);

    void set_networks(const std::vector<std::shared_ptr<const Trained>>& networks) override;
    // Whether `NEED_MODEL` asks for the networks of a coded alpha plane, which are those of the effort without noise levels.
    bool needs_alpha_networks() const override { return alpha_tiles_ && !alpha_model_; }
    void set_alpha_networks(const std::vector<std::shared_ptr<const Trained>>& networks) override { alpha_model_ = model_of(networks, 0); }
    void set_jpeg_networks(CoefficientNetworks networks);  // if the file holds the coefficients of a JPEG
    // The JPEG file of the coefficients that are known, whose pixels are needed. It is the original, once all of a file is decoded.
    const std::vector<uint8_t>& file_inside() const { return jpeg_file_; }
    // The file that is kept whole, once it was read and checked; empty before, and if there is none.
    const KeptFile& kept() const { return kept_; }
    // Reads it now, if all of it is there. Throws Error as `parse_kept`, unless damage is accepted.
    void read_kept();
    // Where the pixels of that file lie in the image.
    PixelBox box_inside() const { return jpeg_box_; }
    // These pixels, [height, width, channels]. Throws Error (CORRUPT) where they are of another size.
    void set_pixels(const std::vector<uint8_t>& colour);

    // Whether all that is left is a stream that may be decoded with those of other files, as a `Batch`: a whole file of one small
    // stream. What that finds, or nothing, is then the only tile.
    bool is_batchable() const;
    void set_tile(std::vector<uint8_t> pixels);

    // Takes a tile out of those that wait, for another decoder of the same file, as in another worker of a browser. Returns its box, or
    // nothing while no tile can be spared.
    std::optional<PixelBox> delegate_tile();
    // The pixels of that tile, [height, width, channels]; empty: it is decoded here after all.
    void set_delegated(const PixelBox& box, std::vector<uint8_t> pixels);
    // Whether nothing can be done before `set_delegated`.
    bool is_waiting() const { return tiles_.is_waiting(); }

    Event advance(double seconds, int threads) override;

    const Header* header() const override { return container_ ? &container_->header() : nullptr; }
    const Container* container() const { return container_.get(); }
    Picture picture(int threads) override;
    const Metadata& metadata() const override { return metadata_; }
    Verdict verdict() const override;
    // Bytes of the file up to the last segment that all tiles have. Throws Error as `picture` does.
    uint64_t bytes_shown() const;

    // Segments that were done since the last call.
    std::vector<SegmentCost> take_costs() { return jpeg_ ? jpeg_->take_costs() : tiles_.take_costs(); }

  private:
    const Header& planned_header() const;
    Event next_event(double seconds, int threads);
    bool read_header();
    void make_plan();
    std::optional<Event> read_alpha(double seconds, int threads);
    std::optional<Event> decode_alpha(ByteRange section, const PixelBox& box, double seconds, int threads);
    void set_alpha(const PixelBox& box);
    void read_low_bits();
    void place(const Tile& tile, int threads);
    bool wants_low_bits() const { return low_bits_ && !plan_.step; }
    void read_metadata();
    void make_tiles();
    void clear();  // what is shown
    Event advance_jpeg(double seconds, int threads);
    bool read_jpeg_frame();
    bool begin_jpeg_round();
    void end_jpeg_round();
    bool make_original();
    void make_picture();
    void judge_jpeg();
    void require_wanted();
    bool begin_round();
    int arrived_segments(uint64_t behind = 0) const;  // behind: bytes that must follow them
    bool advance_tiles(double seconds, int threads);
    bool end_round();
    void judge();
    int steps_of_tiles() const;  // that every pixel has been through
    uint64_t bytes_used(bool is_exact) const;

    bool is_preview() const { return accepts_damage() || plan_.step; }
    bool accepts_damage() const { return plan_.is_partial || container_->is_lossy(); }

    const Plan plan_;
    std::shared_ptr<FedSource> fed_;
    std::shared_ptr<const Source> source_;
    std::unique_ptr<Container> container_;
    bool is_last_ = false, is_planned_ = false, has_read_alpha_ = false, has_read_metadata_ = false, has_read_kept_ = false, is_done_ = false, has_failed_ = false;
    PixelBox region_{};
    std::vector<int> tiles_needed_;
    bool from_bands_ = false;   // the small image is made of coarse bands alone
    Alpha alpha_;               // of the region
    std::optional<Model> alpha_model_;
    std::unique_ptr<AlphaTiles> alpha_tiles_;  // of a coded plane, until it was decoded
    Metadata metadata_;
    KeptFile kept_;
    bool has_asked_ = false, has_pixels_ = false;  // of a JPEG

    std::optional<CoefficientNetworks> jpeg_networks_;
    std::unique_ptr<JpegTiles> jpeg_;
    std::vector<uint8_t> jpeg_file_;                // of what is known
    PixelBox jpeg_box_{};                           // of its pixels
    bool has_original_ = false, original_damaged_ = false;

    std::optional<Model> model_;
    PixelTiles tiles_;
    bool in_round_ = false, is_last_round_ = false;
    int segments_wanted_ = 0, segments_taken_ = 0;  // of every tile
    uint64_t next_size_ = 0;    // of a file of one stream: the size at which it is decoded again
    std::unique_ptr<PictureBuffer> shown_;
    std::unique_ptr<LowBitsTiles> low_bits_;  // they are decoded if the picture is not reduced
    Verdict verdict_;
};

}  // namespace ddpm
