/* A loader of .ddpm files for gdk-pixbuf: programs that use it, such as viewers and file managers of GNOME, Xfce and MATE, open them, and save them
 * (ddpm_saver.c).
 *
 * The picture becomes better while bytes arrive. The prefix of a file is shown as far as it goes, as loaders of progressive JPEG do. A damaged
 * file is shown, and then is an error. If a program asks for a smaller picture, as for a thumbnail, no more is decoded than that needs. */
#include "ddpm_module.h"

enum { LARGEST_SCALE = 16 };
#define SECONDS_BETWEEN_PREVIEWS 0.2

/* The functions of the program that loads, as gdk-pixbuf hands them over. */
typedef struct {
    GdkPixbufModuleSizeFunc size;
    GdkPixbufModulePreparedFunc prepared;
    GdkPixbufModuleUpdatedFunc updated;
    gpointer data;
} Program;

typedef struct {
    Program program;
    ddpm_decoder* decoder;
    GByteArray* header; /* the bytes so far, as long as there is no picture */
    GdkPixbuf* picture; /* NULL: the header has not arrived */
    uint32_t scale;     /* by which the picture is smaller; 0: not chosen yet */
    gint64 shown;       /* when the last preview was shown, in microseconds */
    gboolean is_done;
} Loading;

static gboolean fail_by_decoder(const Loading* loading, GError** error) {
    ddpm_error kind;
    const char* message = ddpm_decoder_error(loading->decoder, &kind);
    if (kind == DDPM_ERROR_MEMORY) return fail(error, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, message);
    if (kind == DDPM_ERROR_INTERNAL || kind == DDPM_ERROR_MODEL) return fail(error, GDK_PIXBUF_ERROR_FAILED, message);
    return fail(error, GDK_PIXBUF_ERROR_CORRUPT_IMAGE, message);
}

static gboolean is_ok(const Loading* loading, ddpm_error outcome, GError** error) {
    return outcome == DDPM_OK || fail_by_decoder(loading, error);
}

static ddpm_info info_of(const Loading* loading) {
    ddpm_info info = {.struct_size = sizeof info};
    if (ddpm_decoder_info(loading->decoder, &info) != DDPM_OK) info.width = 0;
    return info;
}

static ddpm_layout layout_of(const Loading* loading) {
    ddpm_layout layout = {.struct_size = sizeof layout};
    ddpm_decoder_layout(loading->decoder, &layout);
    return layout;
}

/* --- The picture */

static ddpm_decoder* new_decoder(uint32_t scale) {
    ddpm_decoder* decoder = ddpm_decoder_new();
    const ddpm_plan plan = {.struct_size = sizeof plan, .scale = scale, .partial = 1, .threads = usual_threads()};
    if (decoder) ddpm_decoder_set_plan(decoder, &plan);
    return decoder;
}

/* The largest scale by which the picture is no smaller than the program wants it. */
static uint32_t scale_for(const Loading* loading, const ddpm_info* info) {
    int width = (int)info->width, height = (int)info->height;
    uint32_t scale = LARGEST_SCALE;
    if (loading->program.size) loading->program.size(&width, &height, loading->program.data);
    while (scale > 1 && ((int64_t)width * scale > info->width || (int64_t)height * scale > info->height)) scale /= 2;
    return scale;
}

/* Begins again with a decoder of smaller pictures. */
static gboolean reduce(Loading* loading, GError** error) {
    ddpm_decoder_free(loading->decoder);
    loading->decoder = new_decoder(loading->scale);
    if (!loading->decoder) return fail(error, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "Memory is exhausted");
    return is_ok(loading, ddpm_decoder_feed(loading->decoder, loading->header->data, loading->header->len), error);
}

static gboolean make_picture(Loading* loading, const ddpm_info* info, GError** error) {
    const ddpm_layout layout = layout_of(loading);
    loading->picture = gdk_pixbuf_new(GDK_COLORSPACE_RGB, info->has_alpha != 0, 8, (int)layout.width, (int)layout.height);
    if (!loading->picture) return fail(error, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "Memory is exhausted");
    gdk_pixbuf_fill(loading->picture, 0x808080FF);
    const char orientation[] = {(char)('0' + info->orientation), 0};
    gdk_pixbuf_set_option(loading->picture, "orientation", orientation);
    g_byte_array_set_size(loading->header, 0);
    if (loading->program.prepared) loading->program.prepared(loading->picture, NULL, loading->program.data);
    return TRUE;
}

/* Writes pixels of 1 or 2 channels as the picture has them, of 3 or 4. */
static void spread(const guint8* grey, const ddpm_layout* layout, GdkPixbuf* picture) {
    for (uint32_t y = 0; y < layout->height; y++) {
        guint8* to = gdk_pixbuf_get_pixels(picture) + (size_t)y * gdk_pixbuf_get_rowstride(picture);
        for (uint32_t x = 0; x < layout->width; x++, grey += layout->channels) {
            to[0] = to[1] = to[2] = grey[0];
            if (layout->channels == 2) to[3] = grey[1];
            to += layout->channels + 2;
        }
    }
}

/* Shows the picture as far as it is known. */
static gboolean show(Loading* loading, GError** error) {
    const ddpm_layout layout = layout_of(loading);
    GdkPixbuf* picture = loading->picture;
    if (layout.channels > 2) {
        guint8* pixels = gdk_pixbuf_get_pixels(picture);
        if (!is_ok(loading, ddpm_decoder_pixels(loading->decoder, pixels, gdk_pixbuf_get_byte_length(picture), gdk_pixbuf_get_rowstride(picture)), error)) return FALSE;
    } else {
        g_autofree guint8* grey = g_try_malloc(layout.size);
        if (!grey) return fail(error, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "Memory is exhausted");
        if (!is_ok(loading, ddpm_decoder_pixels(loading->decoder, grey, layout.size, 0), error)) return FALSE;
        spread(grey, &layout, picture);
    }
    loading->shown = g_get_monotonic_time();
    if (loading->program.updated) loading->program.updated(picture, 0, 0, (int)layout.width, (int)layout.height, loading->program.data);
    return TRUE;
}

static gboolean show_preview(Loading* loading, GError** error) {
    const gboolean is_early = (double)(g_get_monotonic_time() - loading->shown) < SECONDS_BETWEEN_PREVIEWS * G_USEC_PER_SEC;
    return is_early || show(loading, error);
}

/* --- A JPEG file, which another loader decodes */

static GdkPixbuf* decode_jpeg(const guint8* data, size_t size, GError** error) {
    g_autoptr(GdkPixbufLoader) loader = gdk_pixbuf_loader_new();
    const gboolean is_written = gdk_pixbuf_loader_write(loader, data, size, error);
    if (!gdk_pixbuf_loader_close(loader, is_written ? error : NULL) || !is_written) return NULL;
    GdkPixbuf* found = gdk_pixbuf_loader_get_pixbuf(loader);
    return found ? g_object_ref(found) : NULL;
}

static gboolean set_jpeg_pixels(Loading* loading, GError** error) {
    const ddpm_info info = info_of(loading);
    const guint8* data = NULL;
    size_t size = 0;
    if (!is_ok(loading, ddpm_decoder_section(loading->decoder, DDPM_SECTION_PAYLOAD, &data, &size), error)) return FALSE;
    g_autoptr(GdkPixbuf) jpeg = decode_jpeg(data, size, error);
    if (!jpeg) return FALSE;
    const size_t channels = (size_t)gdk_pixbuf_get_n_channels(jpeg), stride = (size_t)gdk_pixbuf_get_rowstride(jpeg);
    if (gdk_pixbuf_get_width(jpeg) != (int)info.width || gdk_pixbuf_get_height(jpeg) != (int)info.height || channels < info.channels)
        return fail(error, GDK_PIXBUF_ERROR_CORRUPT_IMAGE, "The JPEG inside the file has another size than the file states");
    const size_t length = (size_t)info.width * info.height * info.channels;
    g_autofree guint8* pixels = g_try_malloc(length);
    if (!pixels) return fail(error, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "Memory is exhausted");
    guint8* to = pixels;
    for (uint32_t y = 0; y < info.height; y++) {
        const guint8* from = gdk_pixbuf_read_pixels(jpeg) + y * stride;
        for (uint32_t x = 0; x < info.width; x++, from += channels)
            for (uint32_t c = 0; c < info.channels; c++) *to++ = from[c];
    }
    return is_ok(loading, ddpm_decoder_set_pixels(loading->decoder, pixels, length), error);
}

/* --- What gdk-pixbuf calls */

static gboolean meet(Loading* loading, ddpm_event event, GError** error) {
    const ddpm_model* model;
    switch (event) {
    case DDPM_NEED_MODEL:
        model = find_model(info_of(loading).model_number, error);
        return model && is_ok(loading, ddpm_decoder_set_model(loading->decoder, model), error);
    case DDPM_NEED_PIXELS: return set_jpeg_pixels(loading, error);
    case DDPM_PREVIEW: return show_preview(loading, error);
    case DDPM_DONE: return show(loading, error);
    default: return TRUE;
    }
}

/* Decodes as far as the bytes reach. */
static gboolean advance(Loading* loading, GError** error) {
    while (!loading->is_done) {
        const ddpm_event event = ddpm_decoder_advance(loading->decoder, DDPM_FOREVER);
        const ddpm_info info = info_of(loading);
        if (event == DDPM_ERROR) return fail_by_decoder(loading, error);
        if (info.width && !loading->scale) {
            loading->scale = scale_for(loading, &info);
            if (loading->scale > 1) {
                if (!reduce(loading, error)) return FALSE;
                continue;
            }
        }
        if (info.width && !loading->picture && !make_picture(loading, &info, error)) return FALSE;
        if (event == DDPM_NEED_BYTES) return TRUE;
        if (!meet(loading, event, error)) return FALSE;
        loading->is_done = event == DDPM_DONE;
    }
    return TRUE;
}

static void free_loading(Loading* loading) {
    ddpm_decoder_free(loading->decoder);
    g_byte_array_unref(loading->header);
    g_clear_object(&loading->picture);
    g_free(loading);
}

static gpointer begin_load(GdkPixbufModuleSizeFunc size, GdkPixbufModulePreparedFunc prepared, GdkPixbufModuleUpdatedFunc updated, gpointer data,
                           GError** error) {
    Loading* loading = g_new0(Loading, 1);
    loading->program = (Program){size, prepared, updated, data};
    loading->header = g_byte_array_new();
    loading->decoder = new_decoder(1);
    if (loading->decoder) return loading;
    free_loading(loading);
    fail(error, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "Memory is exhausted");
    return NULL;
}

static gboolean load_increment(gpointer context, const guchar* data, guint size, GError** error) {
    Loading* loading = context;
    if (loading->is_done) return TRUE; /* what follows the end of the file */
    if (!loading->picture) g_byte_array_append(loading->header, data, size);
    return is_ok(loading, ddpm_decoder_feed(loading->decoder, data, size), error) && advance(loading, error);
}

/* Gives the picture its colour profile, which follows the pixels in the file. */
static void set_profile(Loading* loading) {
    const guint8* data = NULL;
    size_t size = 0;
    if (ddpm_decoder_section(loading->decoder, DDPM_SECTION_ICC, &data, &size) != DDPM_OK || !size) return;
    g_autofree char* text = g_base64_encode(data, size);
    gdk_pixbuf_set_option(loading->picture, "icc-profile", text);
}

static gboolean finish(Loading* loading, GError** error) {
    if (!loading->is_done && !is_ok(loading, ddpm_decoder_finish(loading->decoder), error)) return FALSE;
    if (!advance(loading, error)) return FALSE;
    set_profile(loading);
    ddpm_verdict verdict = {.struct_size = sizeof verdict};
    if (ddpm_decoder_verdict(loading->decoder, &verdict) == DDPM_OK && !verdict.is_damaged) return TRUE;
    return fail(error, GDK_PIXBUF_ERROR_CORRUPT_IMAGE, "The image is damaged: not all of it is what was encoded");
}

static gboolean stop_load(gpointer context, GError** error) {
    const gboolean is_whole = finish(context, error);
    free_loading(context);
    return is_whole;
}

G_MODULE_EXPORT void fill_vtable(GdkPixbufModule* module) {
    module->begin_load = begin_load;
    module->load_increment = load_increment;
    module->stop_load = stop_load;
    module->save = save;
    module->save_to_callback = save_to_callback;
    module->is_save_option_supported = is_save_option_supported;
}

G_MODULE_EXPORT void fill_info(GdkPixbufFormat* info) {
    static GdkPixbufModulePattern signature[] = {{"\xDD\n", "  ", 90}, {NULL, NULL, 0}};
    static char *mime_types[] = {"image/x-ddpm", NULL}, *extensions[] = {"ddpm", NULL};
    info->name = "ddpm";
    info->signature = signature;
    info->description = "ddpmcodec image";
    info->mime_types = mime_types;
    info->extensions = extensions;
    info->flags = GDK_PIXBUF_FORMAT_WRITABLE | GDK_PIXBUF_FORMAT_THREADSAFE;
    info->license = "Apache";
}
