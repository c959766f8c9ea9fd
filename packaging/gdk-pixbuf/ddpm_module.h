/* What the files of the gdk-pixbuf module share. */
#pragma once
#define GDK_PIXBUF_ENABLE_BACKEND
#include <ddpm.h>
#include <gdk-pixbuf/gdk-pixbuf.h>

/* Sets an error of gdk-pixbuf. Returns FALSE. */
gboolean fail(GError** error, int code, const char* message);

/* The number of threads that code an image. */
guint usual_threads(void);

/* Returns the embedded model of this number, which is loaded once and kept as long as the program runs, or NULL after an error. */
const ddpm_model* find_model(uint32_t number, GError** error);

/* The functions of GdkPixbufModule that save. */
gboolean save(FILE* file, GdkPixbuf* pixbuf, char** keys, char** values, GError** error);
gboolean save_to_callback(GdkPixbufSaveFunc write, gpointer data, GdkPixbuf* pixbuf, char** keys, char** values, GError** error);
gboolean is_save_option_supported(const char* key);
