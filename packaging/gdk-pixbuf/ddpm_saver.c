/* Saves a picture as a .ddpm file. Programs get the bytes when all of them are there, have been decoded, and are what was to be saved. */
#include "ddpm_module.h"

#include <errno.h>

typedef struct {
    ddpm_encode_options coding;
    guchar* profile; /* NULL: none */
    gsize profile_size;
} Options;

static gboolean fail_by_encoder(const ddpm_encoder* encoder, GError** error) {
    ddpm_error kind;
    const char* message = ddpm_encoder_error(encoder, &kind);
    return fail(error, kind == DDPM_ERROR_MEMORY ? GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY : GDK_PIXBUF_ERROR_FAILED, message);
}

/* --- Options */

gboolean is_save_option_supported(const char* key) { return !g_strcmp0(key, "effort") || !g_strcmp0(key, "levels") || !g_strcmp0(key, "icc-profile"); }

static gboolean read_number(const char* key, const char* value, uint32_t* number, GError** error) {
    guint64 found;
    if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32, &found, NULL)) {
        *number = (uint32_t)found;
        return TRUE;
    }
    g_set_error(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_BAD_OPTION, "%s must be a number, not '%s'", key, value);
    return FALSE;
}

static gboolean read_profile(const char* value, Options* options, GError** error) {
    g_free(options->profile);
    options->profile = g_base64_decode(value, &options->profile_size);
    return options->profile_size || fail(error, GDK_PIXBUF_ERROR_BAD_OPTION, "icc-profile must be a colour profile in base64");
}

static gboolean read_option(const char* key, const char* value, Options* options, GError** error) {
    ddpm_encode_options* coding = &options->coding;
    if (!g_strcmp0(key, "effort")) return coding->has_effort = 1, read_number(key, value, &coding->effort, error);
    if (!g_strcmp0(key, "levels")) return coding->has_levels = 1, read_number(key, value, &coding->levels, error);
    if (!g_strcmp0(key, "icc-profile")) return read_profile(value, options, error);
    g_set_error(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_BAD_OPTION, "There is no option '%s': there are effort, levels and icc-profile", key);
    return FALSE;
}

static gboolean read_options(char** keys, char** values, Options* options, GError** error) {
    for (; keys && *keys; keys++, values++)
        if (!read_option(*keys, *values, options, error)) return FALSE;
    return TRUE;
}

/* --- Encoding */

static gboolean set_picture(ddpm_encoder* encoder, const GdkPixbuf* pixbuf, const Options* options, GError** error) {
    const ddpm_picture picture = {
        .struct_size = sizeof picture,
        .width = (uint32_t)gdk_pixbuf_get_width(pixbuf),
        .height = (uint32_t)gdk_pixbuf_get_height(pixbuf),
        .mode = gdk_pixbuf_get_has_alpha(pixbuf) ? DDPM_RGBA : DDPM_RGB,
        .planes = {gdk_pixbuf_read_pixels(pixbuf)},
        .size = gdk_pixbuf_get_byte_length(pixbuf),
        .row_stride = (uint64_t)gdk_pixbuf_get_rowstride(pixbuf),
        .pixel_stride = (uint64_t)gdk_pixbuf_get_n_channels(pixbuf),
        .icc = options->profile,
        .icc_size = options->profile_size,
    };
    return ddpm_encoder_set_picture(encoder, &picture) == DDPM_OK || fail_by_encoder(encoder, error);
}

static gboolean set_needed_model(ddpm_encoder* encoder, GError** error) {
    const ddpm_model* model = find_model(ddpm_encoder_model_number(encoder), error);
    return model && (ddpm_encoder_set_model(encoder, model) == DDPM_OK || fail_by_encoder(encoder, error));
}

static gboolean encode(ddpm_encoder* encoder, GError** error) {
    while (TRUE) {
        const ddpm_event event = ddpm_encoder_advance(encoder, DDPM_FOREVER);
        if (event == DDPM_DONE) return TRUE;
        if (event == DDPM_ERROR) return fail_by_encoder(encoder, error);
        if (event == DDPM_NEED_MODEL && !set_needed_model(encoder, error)) return FALSE;
    }
}

static gboolean save_by(ddpm_encoder* encoder, GdkPixbufSaveFunc write, gpointer data, const GdkPixbuf* pixbuf, const Options* options, GError** error) {
    const uint8_t* file = NULL;
    size_t size = 0;
    if (!encoder) return fail(error, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "Memory is exhausted");
    if (ddpm_encoder_set_options(encoder, &options->coding) != DDPM_OK)
        return fail(error, GDK_PIXBUF_ERROR_BAD_OPTION, ddpm_encoder_error(encoder, NULL));
    if (!set_picture(encoder, pixbuf, options, error) || !encode(encoder, error)) return FALSE;
    if (ddpm_encoder_file(encoder, &file, &size) != DDPM_OK) return fail_by_encoder(encoder, error);
    return write((const char*)file, size, error, data);
}

/* --- What gdk-pixbuf calls */

gboolean save_to_callback(GdkPixbufSaveFunc write, gpointer data, GdkPixbuf* pixbuf, char** keys, char** values, GError** error) {
    Options options = {.coding = {.struct_size = sizeof options.coding, .threads = usual_threads()}};
    ddpm_encoder* encoder = ddpm_encoder_new();
    const gboolean is_saved = read_options(keys, values, &options, error) && save_by(encoder, write, data, pixbuf, &options, error);
    ddpm_encoder_free(encoder);
    g_free(options.profile);
    return is_saved;
}

static gboolean write_to_file(const char* bytes, gsize size, GError** error, gpointer file) {
    if (fwrite(bytes, 1, size, file) == size) return TRUE;
    const int number = errno;
    g_set_error_literal(error, G_FILE_ERROR, g_file_error_from_errno(number), g_strerror(number));
    return FALSE;
}

gboolean save(FILE* file, GdkPixbuf* pixbuf, char** keys, char** values, GError** error) {
    return save_to_callback(write_to_file, file, pixbuf, keys, values, error);
}
