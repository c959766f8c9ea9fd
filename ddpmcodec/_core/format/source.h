// Where bytes of a file come from.
#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "bytes.h"

namespace ddpm {

// Bytes that are read at any position. Several threads may read at a time.
struct Source {
    virtual ~Source() = default;

    virtual uint64_t size() const = 0;
    // offset + out.size(): at most size().
    virtual void read(uint64_t offset, std::span<uint8_t> out) const = 0;

    // The bytes from `begin` to before `end`, or as many of them as there are.
    std::vector<uint8_t> bytes(uint64_t begin, uint64_t end) const {
        end = std::min(end, size());
        std::vector<uint8_t> out(begin < end ? size_t(end - begin) : 0);
        if (!out.empty()) read(begin, out);
        return out;
    }
};

// Bytes of the caller's, which must outlive the source.
class MemorySource : public Source {
  public:
    explicit MemorySource(Bytes data) : data_(data) {}

    uint64_t size() const override { return data_.size(); }
    void read(uint64_t offset, std::span<uint8_t> out) const override { std::ranges::copy(data_.subspan(size_t(offset), out.size()), out.begin()); }

  private:
    const Bytes data_;
};

// A part of another source.
class PartSource : public Source {
  public:
    PartSource(std::shared_ptr<const Source> whole, ByteRange range) : whole_(std::move(whole)), range_(range) {}

    uint64_t size() const override { return range_.size(); }
    void read(uint64_t offset, std::span<uint8_t> out) const override { whole_->read(range_.begin + offset, out); }

  private:
    const std::shared_ptr<const Source> whole_;
    const ByteRange range_;
};

// Bytes that arrive one after the other.
class FedSource : public Source {
  public:
    void feed(Bytes data) { data_.insert(data_.end(), data.begin(), data.end()); }

    uint64_t size() const override { return data_.size(); }
    void read(uint64_t offset, std::span<uint8_t> out) const override { std::ranges::copy(Bytes(data_).subspan(size_t(offset), out.size()), out.begin()); }

  private:
    std::vector<uint8_t> data_;
};

}  // namespace ddpm
