/* service/template/compiled.h - inside service/template/: a template with its layout and partials, ready to render.
 *
 * Made of a version (or of a draft with what it uses now), never changed, and held by whoever renders it while the
 * cache may have let go of it. Published versions are kept in the process by template and number, the least used go
 * when there are more than template.cache. Compiling is work for a cpu worker. Any thread. */
#ifndef SERVICE_COMPILED_H
#define SERVICE_COMPILED_H
#include "mail/template/template.h"
#include "service/core/call.h"

struct compiled_partials {
    struct template_partial *list;
    size_t n;
};

struct compiled_header {
    struct bytes name, value;
    struct template *program; /* NULL: its value stands as it is */
};

struct compiled;
struct compiled_view {
    const struct template_version_row *row; /* without its texts */
    struct json_object *declared;           /* its variables; NULL: none */
    enum template_dialect dialect;
    const struct template *subject, *html, *text, *amp_html, *layout_html, *layout_text; /* NULL: it has none */
    struct compiled_partials partials_html, partials_text;
    struct compiled_header *headers;
    size_t n_headers;
};
const struct compiled_view *compiled_view(const struct compiled *k);

struct template_limits compiled_limits(void); /* of the parameters template.* */

/* Compiles what the row says. Faults are noted with pointers below `prefix` ("/html"); then it is false. */
bool compiled_make(struct call *c, const struct template_version_row *row, const char *prefix, struct compiled **out);
/* The same without looking whether its partials are there. */
bool compiled_make_alone(struct call *c, const struct template_version_row *row, struct compiled **out);
/* That version of a template: from the cache, or read and put there. ERR_MISSING. */
bool compiled_find(struct call *c, struct id template, int64_t number, struct compiled **out);
void compiled_put(struct compiled **k); /* gives it back; *k may be NULL */

/* Notes every fault of a text alone: of a layout, or of a partial. In any of the dialects that it is one of, it is
 * right. */
bool compiled_check(struct call *c, const char *pointer, struct bytes text, enum template_part part, bool layout);

/* The layout and the partials that a draft uses, as they are now: fills those of *out, which holds the draft's parts.
 * False with faults where one is missing, or there are too many. */
bool compiled_freeze(struct call *c, struct template_version_row *out);

struct compiled_cache *compiled_cache_new(void);
void compiled_cache_free(struct compiled_cache **k);
#endif
