// Where ddpm-decode reads from: a file, a pipe, or an image of an archive.
#pragma once
#include <cstdint>
#include <memory>

#include "ddpm.h"
#include "decode_options.h"
#include "input_file.h"

using Decoder = std::unique_ptr<ddpm_decoder, decltype(&ddpm_decoder_free)>;
using Archive = std::unique_ptr<ddpm_archive, decltype(&ddpm_archive_free)>;

// Throws Failure if a call of the decoder failed.
void check(const Decoder& decoder, ddpm_error error);

// IN. Throws Failure if it cannot be read.
class Input {
  public:
    explicit Input(const Options& options);

    // Gives the decoder the file; then the input must outlive it.
    void give(const Decoder& decoder);
    // Opens an archive; then the input must outlive it and its decoders.
    Archive archive();

  private:
    InputFile file_;
    const uint64_t size_;  // bytes; of a pipe the most that is read
};

// Gives the decoder what the options name: the file, or an image of the archive.
void give_input(Input& input, const Decoder& decoder, const Options& options);

// Prints the images of an archive.
void list_images(const Options& options);
