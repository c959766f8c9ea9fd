/* ddpm.h: decodes .ddpm images, whole or from a prefix, and images of .ddpma archives, and encodes .ddpm images, from C, C++ and any language
 * that calls C.
 *
 * --- How decoding works
 *
 * A ddpm_decoder decodes one file. The caller gives it bytes, either as they arrive (ddpm_decoder_feed, ddpm_decoder_finish) or by a
 * function that reads at any position (ddpm_decoder_set_reader). Then the caller calls ddpm_decoder_advance until it returns DDPM_DONE or
 * DDPM_ERROR. Every other event names what the decoder needs, or announces a better picture:
 *
 *     ddpm_decoder* decoder = ddpm_decoder_new();
 *     ddpm_decoder_feed(decoder, data, size);
 *     ddpm_decoder_finish(decoder);
 *     while ((event = ddpm_decoder_advance(decoder, 0.1)) != DDPM_DONE) {
 *         if (event == DDPM_ERROR) fail(ddpm_decoder_error(decoder, NULL));
 *         if (event == DDPM_NEED_MODEL) ddpm_decoder_set_model(decoder, model);
 *     }
 *     ddpm_decoder_layout(decoder, &layout);
 *     pixels = malloc(layout.size);
 *     ddpm_decoder_pixels(decoder, pixels, layout.size, 0);
 *
 * --- How encoding works
 *
 * A ddpm_encoder encodes one image: pixels with their metadata (ddpm_encoder_set_picture), or a JPEG file as it is (ddpm_encoder_set_file).
 * The caller calls ddpm_encoder_advance as above. DDPM_NEED_MODEL asks for the embedded model with the number ddpm_encoder_model_number:
 *
 *     ddpm_encoder* encoder = ddpm_encoder_new();
 *     ddpm_encoder_set_picture(encoder, &picture);
 *     while ((event = ddpm_encoder_advance(encoder, 0.1)) != DDPM_DONE) {
 *         if (event == DDPM_ERROR) fail(ddpm_encoder_error(encoder, NULL));
 *         if (event == DDPM_NEED_MODEL) ddpm_encoder_set_model(encoder, models[ddpm_encoder_model_number(encoder)]);
 *     }
 *     ddpm_encoder_file(encoder, &data, &size);
 *
 * examples/decode.c and examples/encode.c are complete programs. docs/c.md describes how to build and install the library.
 *
 * --- Guarantees
 *
 * Exactness: a decoder that returns DDPM_DONE, and whose verdict has is_exact, gives exactly the pixels that were encoded, on every
 *   machine and with any number of threads. After DDPM_DONE of a whole file of JPEG coefficients, DDPM_SECTION_PAYLOAD is the JPEG file that was
 *   encoded, byte for byte. Without `partial` in the plan, a file that is damaged or cut ends in DDPM_ERROR. Previews may differ between
 *   machines by a grey level.
 *   An encoder that returns DDPM_DONE has decoded the file by a decoder that sees its bytes alone, and compared everything with what it was
 *   given, unless `no_verify` asks it not to. It also has computed a known answer, which detects a compiler or a processor that computes
 *   something else. The same image, options and model give the same file, with any number of threads.
 * Hostile input: no bytes of a file, of a model, of pixels or of metadata cause undefined behaviour. Nothing of the size of an image is
 *   allocated before the limit `max_pixels` is checked, or before the caller's buffer is known to hold the image.
 * Memory: a decoder needs about 50 bytes per pixel of each tile that is being decoded (a tile has at most 2^21 pixels), and keeps the bytes
 *   that it was fed. An encoder keeps a copy of the image. For each tile that is being encoded (at most 2^19 pixels, unless the caller chooses
 *   tiles) it needs about 40 bytes per pixel without noise levels, 90 with one, and 200 with five.
 * Arguments: every function checks its arguments. It returns DDPM_ERROR_ARGUMENT for NULL, for an unknown value, and for a call that comes
 *   too early or too late, and changes nothing.
 * Errors: no exception leaves the library. If memory is exhausted, functions return DDPM_ERROR_MEMORY, and functions that return a pointer
 *   return NULL. The library prints nothing and never ends the process.
 * Threads: different decoders and encoders may be used by different threads at the same time. Each may be used by one thread at a time. A
 *   model and an archive never change: any number of decoders, encoders and threads may share them. The library has no global state that
 *   callers can change. Coding sets the floating-point environment of its threads as it needs it, and restores that of the caller.
 * Ownership: what a ..._new, ..._load or ..._open function returns belongs to the caller, who frees it. Functions copy their inputs, unless their
 *   comment states otherwise. Pointers that the library returns are valid as long as their comment states.
 * Stability: before version 1.0, a new minor version may change functions and structs, and then has another soname. From 1.0 on,
 *   structs only grow at their end: `struct_size` tells the library which fields the caller knows. Values of enums are never
 *   reused. Handle unknown values, because later versions add some.
 *
 * Text is UTF-8 and ends with a NUL. A truth value is a uint32_t: 0 for false, 1 for true. */
#ifndef DDPM_H
#define DDPM_H

#include <stddef.h>
#include <stdint.h>

/* DDPM_API marks what the library exports. On Windows, define DDPM_STATIC to link the static library. */
#if defined(_WIN32) && defined(DDPM_BUILDS_LIBRARY)
#define DDPM_API __declspec(dllexport)
#elif defined(_WIN32) && !defined(DDPM_STATIC)
#define DDPM_API __declspec(dllimport)
#elif defined(__EMSCRIPTEN__)
#define DDPM_API __attribute__((used, visibility("default")))
#elif defined(__GNUC__)
#define DDPM_API __attribute__((visibility("default")))
#else
#define DDPM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ddpm_decoder ddpm_decoder;
typedef struct ddpm_encoder ddpm_encoder;
typedef struct ddpm_model ddpm_model;

/* Returns the version of the library, such as "0.1.0". The text is valid forever. */
DDPM_API const char* ddpm_version(void);

/* --- Errors ----------------------------------------------------------------------------------------------------------------------- */

typedef enum ddpm_error {
    DDPM_OK = 0,
    DDPM_ERROR_ARGUMENT = 1,  /* an argument is wrong, or the call comes too early or too late */
    DDPM_ERROR_FORMAT = 2,    /* the data is not a .ddpm file or, to an encoder, a JPEG file; or its structure contradicts itself */
    DDPM_ERROR_TRUNCATED = 3, /* the data ends early: `partial` accepts it */
    DDPM_ERROR_CHECKSUM = 4,  /* the data decodes to something other than what was encoded: `partial` accepts it. Of an encoder: a defect */
    DDPM_ERROR_CORRUPT = 5,   /* no encoder writes this data */
    DDPM_ERROR_MODEL = 6,     /* the model is damaged, is not the one that the file names, or does not compute exactly here */
    DDPM_ERROR_IMAGE = 7,     /* the image has more than `max_pixels`, does not contain the box, or is more than a file can hold */
    DDPM_ERROR_READ = 8,      /* the caller's ddpm_read failed */
    DDPM_ERROR_MEMORY = 9,    /* memory is exhausted */
    DDPM_ERROR_INTERNAL = 10  /* a defect of the library, or threads could not be started */
} ddpm_error;

/* --- Models ----------------------------------------------------------------------------------------------------------------------- */

/* Loads a model, of pixels or of JPEG coefficients, from the bytes of its file, <name>.safetensors, which it copies. The networks are made when
 * they are first needed, and are then checked by known answers.
 *
 * model: receives the model, or NULL if loading fails. Free it with ddpm_model_free.
 * message, message_size: a buffer of the caller's that receives what is wrong, cut to its size; empty after success. NULL and 0: none.
 * Returns DDPM_OK, DDPM_ERROR_MODEL, DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT.
 *
 * The library knows the embedded models of its version by the hashes of their files: a file of another content is another model, whatever
 * its name. */
DDPM_API ddpm_error ddpm_model_load(ddpm_model** model, const void* data, size_t size, char* message, size_t message_size);

/* Frees a model. Decoders and encoders that it was given to keep what they need. NULL is allowed. */
DDPM_API void ddpm_model_free(ddpm_model* model);

/* Returns the name of the embedded model that files call by this number, such as "photo" for 2: the model's file is <name>.safetensors.
 * NULL if this version knows no such model; number 0 never is one. The text is valid forever. */
DDPM_API const char* ddpm_model_name(uint32_t number);

/* --- Decoders --------------------------------------------------------------------------------------------------------------------- */

/* Returns a decoder that decodes all of an image, or NULL if memory is exhausted. Free it with ddpm_decoder_free. */
DDPM_API ddpm_decoder* ddpm_decoder_new(void);

/* Frees a decoder and all that it returned. NULL is allowed. */
DDPM_API void ddpm_decoder_free(ddpm_decoder* decoder);

/* Returns what was wrong in the last call that failed, one sentence or two, or "" if none failed. The text is valid until the next call
 * with this decoder.
 *
 * kind: receives the kind of error, DDPM_OK if no call failed. NULL: not wanted. */
DDPM_API const char* ddpm_decoder_error(const ddpm_decoder* decoder, ddpm_error* kind);

/* What is wanted of a file. In a struct whose fields are zero but struct_size, each field has its default:
 *
 *     ddpm_plan plan = {0};
 *     plan.struct_size = sizeof plan; */
typedef struct ddpm_plan {
    uint32_t struct_size;                      /* sizeof(ddpm_plan) */
    uint32_t left, top, width, height;         /* a part of the image, in pixels as they are stored, before orientation; width and
                                                  height 0: all of it. Of a tiled file only the tiles that it touches are decoded */
    uint32_t scale;                            /* 1, 2, 4, 8 or 16: the picture has 1/scale of the size, rounded up; 0: 1 */
    uint32_t has_step, step;                   /* if has_step: a preview after `step` steps of the schedule */
    uint32_t partial;                          /* accept a prefix that holds the header, a damaged file, and bytes after the end */
    uint32_t threads;                          /* that decode at the same time, at most 1024; 0: 1 */
    uint64_t max_pixels;                       /* refuse a file of whose tiles more must be decoded; 0: DDPM_DEFAULT_MAX_PIXELS */
} ddpm_plan;

#define DDPM_DEFAULT_MAX_PIXELS 178956970u

/* Sets what is wanted, in place of the whole image. Needs a decoder that has not received bytes yet. Whether the image contains the box is
 * known once the header was read: then ddpm_decoder_advance fails with DDPM_ERROR_IMAGE.
 * Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_set_plan(ddpm_decoder* decoder, const ddpm_plan* plan);

/* Appends bytes of the file, which it copies. Any division into pieces gives the same result. size may be 0. Bytes after the end of the file
 * are an error (see `partial`) if they arrive before DDPM_DONE, and are ignored after it.
 * Returns DDPM_OK, DDPM_ERROR_MEMORY, or DDPM_ERROR_ARGUMENT after ddpm_decoder_finish or ddpm_decoder_set_reader. */
DDPM_API ddpm_error ddpm_decoder_feed(ddpm_decoder* decoder, const void* data, size_t size);

/* Announces that no bytes follow. A decoder that has no complete file by then fails, or shows what it has if the plan is `partial`.
 * Returns DDPM_OK, DDPM_ERROR_MEMORY, or DDPM_ERROR_ARGUMENT if it was announced before or ddpm_decoder_set_reader was called. */
DDPM_API ddpm_error ddpm_decoder_finish(ddpm_decoder* decoder);

/* Reads `size` bytes from `offset` on into `buffer`. offset + size is at most the size of the file. Returns 0 for success; any other value
 * makes ddpm_decoder_advance fail with DDPM_ERROR_READ. The decoder calls it from ddpm_decoder_advance and ddpm_decoder_section, by one
 * thread at a time, though not always by the thread of the caller. It must not use the decoder, throw, or jump out. */
typedef int (*ddpm_read)(void* user, uint64_t offset, void* buffer, size_t size);

/* Lets the decoder read the file itself, at any position, in place of being fed. Of a box or a reduced picture it reads no more than it needs.
 *
 * size: of the file, in bytes. The file must not change while the decoder lives.
 * read, user: the function, and its first argument. Both must be valid until the decoder is freed.
 * Returns DDPM_OK, DDPM_ERROR_MEMORY, or DDPM_ERROR_ARGUMENT for a decoder that already has bytes or a reader. */
DDPM_API ddpm_error ddpm_decoder_set_reader(ddpm_decoder* decoder, uint64_t size, ddpm_read read, void* user);

/* What a decoder or an encoder needs, or has done. Encoders return DDPM_DONE, DDPM_ERROR, DDPM_NEED_MODEL and DDPM_MORE. */
typedef enum ddpm_event {
    DDPM_DONE = 0,        /* all that the plan asks for is decoded, or the file is encoded. Further calls return it again */
    DDPM_ERROR = 1,       /* ddpm_decoder_error or ddpm_encoder_error has the reason. The decoder or encoder does not go on: free it */
    DDPM_NEED_BYTES = 2,  /* feed more, or call ddpm_decoder_finish */
    DDPM_NEED_MODEL = 3,  /* set the model that ddpm_decoder_info or ddpm_encoder_model_number names by ..._set_model */
    DDPM_NEED_PIXELS = 4, /* coefficients of a JPEG file were decoded, which DDPM_SECTION_PAYLOAD now is. Decode it and set its
                             pixels by ddpm_decoder_set_pixels, or call ddpm_decoder_advance again to go on without */
    DDPM_MORE = 5,        /* the time is over: call again */
    DDPM_PREVIEW = 6      /* ddpm_decoder_pixels gives a better picture than before. Then call again */
} ddpm_event;

/* Works until something is needed, a better picture is there, or about `seconds` have passed. With 0 seconds it does a small piece of work,
 * which takes some hundredths of a second; a user interface thus stays responsive. DDPM_FOREVER never returns DDPM_MORE.
 * Returns an event. DDPM_NEED_MODEL, DDPM_NEED_BYTES: the same event follows until the need is met.
 *
 * If decoding fails by DDPM_ERROR_MEMORY, the decoder does not go on. */
DDPM_API ddpm_event ddpm_decoder_advance(ddpm_decoder* decoder, double seconds);

#define DDPM_FOREVER 1e9

/* Sets the model that the file names. Needs a decoder that returned DDPM_NEED_MODEL. It makes the networks, which takes some tenths of a
 * second when a model is first used with an effort. The model may be freed afterwards. If the call fails, another model may be set.
 * Returns DDPM_OK, DDPM_ERROR_MODEL if the file was written with another model, DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_set_model(ddpm_decoder* decoder, const ddpm_model* model);

/* Sets the pixels of the JPEG file that DDPM_SECTION_PAYLOAD is. Needs a decoder that returned DDPM_NEED_PIXELS.
 *
 * pixels: the whole image, `height` rows of `width` pixels of `channels` bytes without gaps, with the three numbers of ddpm_info; if the
 *     plan has a box, of the JPEG file.
 * size: width * height * channels.
 * Returns DDPM_OK, DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_set_pixels(ddpm_decoder* decoder, const uint8_t* pixels, size_t size);

/* --- Results ---------------------------------------------------------------------------------------------------------------------- */

typedef enum ddpm_mode {
    DDPM_GREY = 0,
    DDPM_RGB = 1,
    DDPM_GREY_ALPHA = 2,
    DDPM_RGBA = 3,
    DDPM_BILEVEL = 4 /* grey of 0 and 255 alone; reduced, and in previews, grey */
} ddpm_mode;

typedef enum ddpm_kind {
    DDPM_KIND_PIXELS = 0,
    DDPM_KIND_COEFFICIENTS = 1 /* of a JPEG file, which they restore */
} ddpm_kind;

/* What the header states. */
typedef struct ddpm_info {
    uint32_t struct_size;             /* sizeof(ddpm_info), set by the caller */
    uint32_t width, height;           /* pixels, as they are stored */
    uint32_t mode;                    /* ddpm_mode */
    uint32_t channels;                /* bytes per pixel, with alpha: 1 to 4 */
    uint32_t has_alpha;               /* the last channel is alpha */
    uint32_t bits;                    /* per coded value, 8 to 16; ddpm_decoder_pixels gives their high 8 */
    uint32_t kind;                    /* ddpm_kind, of the payload */
    uint32_t orientation;             /* 1 to 8, as EXIF counts them; the decoder turns nothing */
    uint32_t effort, levels;          /* of the encoder; number of noise levels, or of a JPEG's wider cells */
    uint32_t steps;                   /* of the schedule: `levels` and 1 */
    uint32_t tile_width, tile_height; /* pixels; those of the image if it is not tiled */
    uint32_t tiles;                   /* number of tiles */
    uint32_t model_number;            /* of an embedded model (see ddpm_model_name); 0: model_id names it */
    uint8_t model_id[4];              /* the first bytes of the SHA-256 of the model's file; zeros with a number */
    uint32_t sample_bits;             /* per sample of the image, 8 to 16: see ddpm_decoder_samples */
    uint64_t header_length;           /* bytes, with the index of tiles */
    uint64_t file_length;             /* bytes of the complete file */
    uint64_t payload_offset;          /* bytes */
    uint64_t payload_length;          /* bytes */
} ddpm_info;

/* Fills `info`, as far as its struct_size reaches. Needs a decoder that has read the header: every event but DDPM_NEED_BYTES and DDPM_ERROR
 * implies that it has. It also succeeds after DDPM_ERROR if the header was read.
 * Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_info(const ddpm_decoder* decoder, ddpm_info* info);

/* How the pixels of the plan are laid out: `height` rows of `width` pixels of `channels` bytes, 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
 * Alpha is not premultiplied. */
typedef struct ddpm_layout {
    uint32_t struct_size;             /* sizeof(ddpm_layout), set by the caller */
    uint32_t width, height, channels;
    uint64_t stride;                  /* bytes from row to row, without gaps: width * channels */
    uint64_t size;                    /* bytes in all: height * stride */
} ddpm_layout;

/* Fills `layout`, which stays the same while the decoder lives. Needs a decoder whose ddpm_decoder_advance has returned DDPM_NEED_MODEL,
 * DDPM_NEED_PIXELS, DDPM_MORE, DDPM_PREVIEW or DDPM_DONE. (DDPM_NEED_BYTES suffices if ddpm_decoder_info succeeds.)
 * Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_layout(const ddpm_decoder* decoder, ddpm_layout* layout);

/* Copies the picture as far as it is known into a buffer of the caller's: after DDPM_DONE the result, before that a preview, grey if nothing is
 * known. A preview is computed anew in every call, which takes time in proportion to the pixels.
 *
 * pixels: the buffer.
 * size: its size in bytes, at least (height - 1) * stride + width * channels.
 * stride: bytes from row to row, at least width * channels; 0: width * channels. Bytes between rows stay as they are.
 * Returns DDPM_OK, DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_pixels(ddpm_decoder* decoder, uint8_t* pixels, size_t size, size_t stride);

/* Copies the picture as ddpm_decoder_pixels does, in samples of `sample_bits` of ddpm_info: numbers from 0 to 2^sample_bits - 1. If these
 * are 8 bits, samples equal pixels. Bits that are not known, as in a preview or a reduced picture, are about the middle of what is possible.
 *
 * samples: the buffer.
 * count, stride: its size, and the distance from row to row, as of ddpm_decoder_pixels, counted in samples in place of bytes. `size` and
 *     `stride` of ddpm_layout are thus the right numbers of samples.
 * Returns DDPM_OK, DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_samples(ddpm_decoder* decoder, uint16_t* samples, size_t count, size_t stride);

typedef enum ddpm_section {
    DDPM_SECTION_ICC = 0,    /* ICC profile */
    DDPM_SECTION_EXIF = 1,   /* as the encoder received it: a TIFF structure, mostly after "Exif\0\0" */
    DDPM_SECTION_XMP = 2,    /* XML */
    DDPM_SECTION_PAYLOAD = 3, /* the JPEG file of all coefficients that are known */
    DDPM_SECTION_KEPT = 4     /* the file that is kept whole, of which the image is a preview, such as an animation */
} ddpm_section;

/* Finds a section of the file. Metadata is read from its section after the payload: ask for it after DDPM_DONE. Ask for the payload after
 * DDPM_NEED_PIXELS or DDPM_DONE, for the kept file once all bytes are there.
 *
 * data, size: receive the bytes and their number. A section that the file does not have, or that is damaged (see ddpm_verdict), has size 0.
 *     The decoder owns the bytes, which are valid until it is freed.
 * Returns DDPM_OK; DDPM_ERROR_CHECKSUM if the kept file is damaged; DDPM_ERROR_READ, DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_section(ddpm_decoder* decoder, ddpm_section section, const uint8_t** data, size_t* size);

/* What a file turned out to be. */
typedef struct ddpm_verdict {
    uint32_t struct_size;      /* sizeof(ddpm_verdict), set by the caller */
    uint32_t is_exact;         /* the picture is what was encoded: the file is complete, and all checks hold */
    uint32_t is_damaged;       /* a check failed */
    uint32_t is_lossy;         /* the file states that it was cut on purpose */
    uint32_t alpha_damaged;    /* alpha was left out: all pixels are opaque */
    uint32_t metadata_damaged; /* metadata was left out */
    uint32_t colours_exact;    /* the colours are what was encoded, whatever became of alpha and metadata */
    uint32_t steps_done;       /* steps of the schedule that every pixel has been through */
    uint32_t steps;            /* of the schedule */
    uint32_t reserved;
    uint64_t bytes_used;       /* bytes of the file that the picture needed */
    uint64_t missing;          /* bytes that the complete file has, and that did not arrive */
    uint64_t following;        /* bytes after the end of the file */
} ddpm_verdict;

/* Fills `verdict`, as far as its struct_size reaches. It is final after DDPM_DONE. Without `partial`, DDPM_DONE implies that nothing is damaged;
 * is_exact is then 0 for a lossy file, a reduced picture and a preview alone.
 * Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_decoder_verdict(const ddpm_decoder* decoder, ddpm_verdict* verdict);

/* --- Encoders --------------------------------------------------------------------------------------------------------------------- */

/* Returns an encoder, or NULL if memory is exhausted. Free it with ddpm_encoder_free. */
DDPM_API ddpm_encoder* ddpm_encoder_new(void);

/* Frees an encoder and all that it returned, also in the middle of its work. NULL is allowed. */
DDPM_API void ddpm_encoder_free(ddpm_encoder* encoder);

/* Returns what was wrong in the last call that failed, as ddpm_decoder_error does. The text is valid until the next call with this encoder.
 *
 * kind: receives the kind of error, DDPM_OK if no call failed. NULL: not wanted. */
DDPM_API const char* ddpm_encoder_error(const ddpm_encoder* encoder, ddpm_error* kind);

/* How an image is encoded. In a struct whose fields are zero but struct_size, each field has its default. */
typedef struct ddpm_encode_options {
    uint32_t struct_size;         /* sizeof(ddpm_encode_options) */
    uint32_t has_effort, effort;  /* if has_effort: 0 (fastest) to 3 (smallest file); otherwise 2 */
    uint32_t has_levels, levels;  /* if has_levels: noise levels before exact pixels, 0, 1, 2 or 5, of a JPEG file the most levels of its
                                     cells; otherwise 1, or none for graphics and at effort 0 */
    uint32_t tile;                /* side of square tiles in pixels, a multiple of 16 from 64 to 1024; 0: tiles of at most 2^19 pixels */
    uint32_t no_verify;           /* do not decode the file and compare, which takes about half of the time */
    uint32_t threads;             /* that encode at the same time, at most 1024; 0: 1 */
} ddpm_encode_options;

/* Sets how the image is encoded. Needs an encoder that has not begun.
 * Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_encoder_set_options(ddpm_encoder* encoder, const ddpm_encode_options* options);

/* Pixels, and what belongs to them. Fields that are zero have the default that their comment states. */
typedef struct ddpm_picture {
    uint32_t struct_size;         /* sizeof(ddpm_picture) */
    uint32_t width, height;       /* pixels as they are stored, before orientation; at most 2^28 in all */
    uint32_t mode;                /* ddpm_mode */
    uint32_t bits;                /* per sample, 8 to 16; 0: 8. Samples of 8 bits are uint8_t, of more bits uint16_t in the order of the machine,
                                     and below 2^bits */
    uint32_t orientation;         /* 1 to 8, as EXIF counts them; 0: that of the EXIF, or 1 */
    const void* planes[4];        /* the first sample of each channel: grey, or red, green and blue; then alpha, not premultiplied. If all but
                                     the first are NULL, the channels of a pixel follow each other */
    uint64_t size;                /* bytes that may be read from each plane on */
    uint64_t row_stride;          /* bytes from row to row; 0: no gaps */
    uint64_t pixel_stride;        /* bytes from pixel to pixel; 0: no gaps */
    const void* icc;              /* ICC profile, EXIF and XMP; NULL and 0: none. They are kept as they are, 8 MB in all at most */
    uint64_t icc_size;
    const void* exif;
    uint64_t exif_size;
    const void* xmp;
    uint64_t xmp_size;
} ddpm_picture;

/* Sets the image to encode, which it copies. Needs an encoder that has no image yet.
 * Returns DDPM_OK; DDPM_ERROR_IMAGE if a file cannot hold as many pixels or bytes of metadata; DDPM_ERROR_MEMORY; or DDPM_ERROR_ARGUMENT, also if
 * `size` is too small for the strides, or samples are outside of what mode and bits allow. */
DDPM_API ddpm_error ddpm_encoder_set_picture(ddpm_encoder* encoder, const ddpm_picture* picture);

/* Sets an image file to encode, which it copies, and which comes back byte for byte (DDPM_SECTION_PAYLOAD of its decoder). This version takes
 * JPEG files. It reads all of the file, which takes some hundredths of a second per megapixel. Needs an encoder that has no image yet.
 * Returns DDPM_OK; DDPM_ERROR_FORMAT for any other file, and for a JPEG file that cannot be rebuilt from its coefficients (arithmetic coding,
 * 12 bits, no baseline or progressive frame); DDPM_ERROR_TRUNCATED or DDPM_ERROR_CORRUPT if the file is damaged; DDPM_ERROR_IMAGE,
 * DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. After an error, decode the file by another library, and set its pixels. */
DDPM_API ddpm_error ddpm_encoder_set_file(ddpm_encoder* encoder, const void* data, size_t size);

/* Sets a model. Before the first ddpm_encoder_advance: a model to code by in place of embedded ones, once for pixels and once for JPEG
 * coefficients. After DDPM_NEED_MODEL: the embedded model that ddpm_encoder_model_number names. The model may be freed afterwards. If the call
 * fails, another model may be set.
 * Returns DDPM_OK, DDPM_ERROR_MODEL if another model is needed, DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_encoder_set_model(ddpm_encoder* encoder, const ddpm_model* model);

/* Returns the number of the embedded model that is needed after DDPM_NEED_MODEL (see ddpm_model_name); 0 if none is. */
DDPM_API uint32_t ddpm_encoder_model_number(const ddpm_encoder* encoder);

/* Works until a model is needed, the file is done, or about `seconds` have passed, as ddpm_decoder_advance does. Needs an image.
 * Returns DDPM_DONE, DDPM_NEED_MODEL, DDPM_MORE or DDPM_ERROR. The kinds of error are DDPM_ERROR_ARGUMENT if there is no image, after which the
 * encoder goes on; DDPM_ERROR_MODEL if no model that was set codes this kind of image, or one does not compute exactly here;
 * DDPM_ERROR_CHECKSUM if the file does not decode to the image, which is a defect of the library; DDPM_ERROR_MEMORY or DDPM_ERROR_INTERNAL. */
DDPM_API ddpm_event ddpm_encoder_advance(ddpm_encoder* encoder, double seconds);

/* Returns how much of the work is done, from 0 to 1, which is 1 after DDPM_DONE. */
DDPM_API double ddpm_encoder_progress(const ddpm_encoder* encoder);

/* Finds the file. Needs an encoder that returned DDPM_DONE.
 *
 * data, size: receive its bytes and their number. The encoder owns the bytes, which are valid until it is freed.
 * Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_encoder_file(const ddpm_encoder* encoder, const uint8_t** data, size_t* size);

/* --- Archives --------------------------------------------------------------------------------------------------------------------- */

/* A .ddpma file: images with names. Open it, and give a decoder one of its images in place of bytes. All else is as for a file:
 *
 *     ddpm_archive_open(&archive, data, size, NULL, 0);
 *     ddpm_archive_find(archive, "holiday/beach.png", &image);
 *     ddpm_decoder_set_member(decoder, archive, image);
 *
 * Images have numbers from 0 on, in the order in which they were given to the encoder. */
typedef struct ddpm_archive ddpm_archive;

/* Opens an archive from its bytes, which it copies. Of a damaged index, or one that does not fit, it searches all bytes for blocks of images.
 *
 * archive: receives the archive, or NULL if opening fails. Free it with ddpm_archive_free.
 * message, message_size: a buffer of the caller's that receives what is wrong, cut to its size; empty after success. NULL and 0: none.
 * Returns DDPM_OK; DDPM_ERROR_FORMAT, DDPM_ERROR_TRUNCATED, DDPM_ERROR_CHECKSUM or DDPM_ERROR_CORRUPT if the data is not an archive, or neither
 * its index nor a block is found; DDPM_ERROR_MEMORY or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_archive_open(ddpm_archive** archive, const void* data, size_t size, char* message, size_t message_size);

/* Opens an archive that the library reads at any position. Of an undamaged one it reads the index and the first bytes of each block, and
 * later what an image needs.
 *
 * size: of the archive, in bytes. It must not change while the archive or a decoder of its images lives.
 * read, user: the function, and its first argument. Both must be valid until the archive and all decoders of its images are freed. Any
 *     function that is given the archive or such a decoder may call it, by one thread at a time.
 * Returns what ddpm_archive_open returns, or DDPM_ERROR_READ. */
DDPM_API ddpm_error ddpm_archive_open_reader(ddpm_archive** archive, uint64_t size, ddpm_read read, void* user, char* message, size_t message_size);

/* Frees an archive. Decoders that were given its images keep what they need. NULL is allowed. */
DDPM_API void ddpm_archive_free(ddpm_archive* archive);

/* What an archive states as a whole. */
typedef struct ddpm_index {
    uint32_t struct_size;        /* sizeof(ddpm_index), set by the caller */
    uint32_t images;             /* number of images that are listed */
    uint32_t total;              /* number of images that the archive was made of: more than `images` if some are lost */
    uint32_t is_damaged;         /* the index or the header of a block is damaged; the images that are listed may be whole all the same */
    uint64_t missing, following; /* bytes that did not arrive, and bytes after the end */
} ddpm_index;

/* Fills `index`, as far as its struct_size reaches. Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_archive_index(const ddpm_archive* archive, ddpm_index* index);

typedef enum ddpm_coding {
    DDPM_CODED_ALONE = 0,       /* as a .ddpm file */
    DDPM_CODED_TOGETHER = 1,    /* with other small images of the same size: there are no previews */
    DDPM_CODED_BY_BITS_BACK = 2 /* by a model that this library does not compute */
} ddpm_coding;

/* What an archive states of an image. */
typedef struct ddpm_entry {
    uint32_t struct_size;   /* sizeof(ddpm_entry), set by the caller */
    uint32_t width, height; /* pixels, as they are stored */
    uint32_t mode;          /* ddpm_mode */
    uint32_t channels;      /* bytes per pixel, with alpha: 1 to 4 */
    uint32_t has_alpha;     /* the last channel is alpha */
    uint32_t coding;        /* ddpm_coding */
    uint32_t reserved;
    uint64_t file_length;   /* bytes of the .ddpm file; 0 for an image that is coded with others */
} ddpm_entry;

/* Fills `entry` for image number `image`, as far as its struct_size reaches. Returns DDPM_OK or DDPM_ERROR_ARGUMENT. */
DDPM_API ddpm_error ddpm_archive_entry(const ddpm_archive* archive, uint32_t image, ddpm_entry* entry);

/* Returns the name of an image, or NULL if the archive has no such image. The archive owns the text, which is valid until it is freed.
 *
 * Names are distinct, and may be any text. Before you use one as a path, refuse it as docs/format.md describes: it may lead elsewhere. */
DDPM_API const char* ddpm_archive_name(const ddpm_archive* archive, uint32_t image);

/* Finds an image by its name, among all of them, one after the other.
 *
 * image: receives its number.
 * Returns DDPM_OK, or DDPM_ERROR_ARGUMENT if no image has this name. */
DDPM_API ddpm_error ddpm_archive_find(const ddpm_archive* archive, const char* name, uint32_t* image);

/* Copies the .ddpm file of an image that is coded alone. The file is not checked: a decoder does that.
 *
 * data: a buffer of the caller's.
 * size: its size in bytes, at least `file_length` of ddpm_entry.
 * Returns DDPM_OK; DDPM_ERROR_TRUNCATED if the archive ends inside the file; DDPM_ERROR_READ, DDPM_ERROR_MEMORY, or DDPM_ERROR_ARGUMENT, also for
 * an image that is coded with others. */
DDPM_API ddpm_error ddpm_archive_file(const ddpm_archive* archive, uint32_t image, void* data, size_t size);

/* Lets a decoder decode an image of an archive, in place of bytes. Set its plan before.
 *
 * An image that is coded alone is decoded as its file is. Of images that are coded together the decoder decodes the run that has this image.
 * The archive keeps the last few runs, at most 4 MB: for other images of them, decoders ask for no model and are done at once. Of such
 * an image, ddpm_info has no lengths, an orientation of 1 (its EXIF states another one), and `step` of the plan is ignored. `partial` accepts
 * damaged alpha and metadata.
 *
 * Returns DDPM_OK; DDPM_ERROR_FORMAT, DDPM_ERROR_TRUNCATED or DDPM_ERROR_CORRUPT if the header of the file is damaged or of another image;
 * DDPM_ERROR_MODEL for an image that is coded by bits back; DDPM_ERROR_READ, DDPM_ERROR_MEMORY, or DDPM_ERROR_ARGUMENT, also for a decoder that
 * already has bytes. */
DDPM_API ddpm_error ddpm_decoder_set_member(ddpm_decoder* decoder, const ddpm_archive* archive, uint32_t image);

#ifdef __cplusplus
}
#endif

#endif /* DDPM_H */
