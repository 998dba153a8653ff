/* edgec_c.h: load and run an edgec artefact from C, or from any language that calls C: libedgec.so in the folder lib.
 *
 * A model is used by one thread at a time, and always by the same one: its worker threads belong to it. */
#ifndef EDGEC_C_H
#define EDGEC_C_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEC_API __attribute__((visibility("default")))

typedef struct edgec_model edgec_model;

/* The artefact in `folder`, its files compared with their hashes; NULL if there is an error. threads = 0: as compiled. */
EDGEC_API edgec_model* edgec_open(const char* folder, int threads);

/* What went wrong in this thread's last call that failed. */
EDGEC_API const char* edgec_error(void);

/* One inference of each of `batch` items: pointers to the elements of all inputs and outputs, row-major, in the order of
 * manifest.json. Where sizes depend on the data, there has to be room for the largest. 0 if it was computed. */
EDGEC_API int edgec_run(edgec_model* model, const void* const* inputs, void* const* outputs, int batch);

/* The sizes of output `index` in the last inference, as many as it has axes. 0 if they are known. */
EDGEC_API int edgec_shape(const edgec_model* model, int index, int64_t* sizes);

EDGEC_API void edgec_close(edgec_model* model);

#ifdef __cplusplus
}
#endif
#endif
