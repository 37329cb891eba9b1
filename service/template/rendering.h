/* service/template/rendering.h - what a template says with given values: for looking at, and for sends.
 *
 * Values that are not given are the declared defaults. Rendering is work for a cpu worker, within template.steps_max,
 * output_max and depth_max; past them it is ERR_INVALID with the place. */
#ifndef SERVICE_RENDERING_H
#define SERVICE_RENDERING_H
#include "mail/build.h"
#include "service/template/compiled.h"
#include "service/template/template.h"

struct rendering_warning {
    const char *code;
    struct bytes message;
};

enum { RENDERING_NAMES = 2 * TEMPLATE_MISSING_MAX, RENDERING_WARNINGS = 4 * TEMPLATE_MISSING_MAX };

struct rendering {
    struct bytes subject, html, text, amp_html; /* NO_BYTES: it has none */
    struct named_value *headers;
    size_t n_headers;
    struct bytes missing[RENDERING_NAMES]; /* names that have no value */
    size_t n_missing;
    struct bytes unused[RENDERING_NAMES]; /* values that nothing asks for */
    size_t n_unused;
    struct rendering_warning warnings[RENDERING_WARNINGS];
    size_t n_warnings;
    int64_t size; /* of all texts */
};

/* ---- the operations ---- */

struct rendering_create_in {
    struct bytes id, version;      /* as template_get's */
    struct json_object *variables; /* NULL: the template's sample */
};
bool rendering_create(struct call *c, const struct rendering_create_in *in, struct rendering *out);
/* Of a draft that is kept nowhere. */
struct rendering_try_in {
    struct template_change given;
    uint64_t named;
    struct json_object *variables;
};
bool rendering_try(struct call *c, const struct rendering_try_in *in, struct rendering *out);

/* ---- for sends ---- */

struct rendering_values {
    struct json_object *variables; /* NULL: none */
    struct bytes unsubscribe_url;  /* what that name stands for, in every dialect; NO_BYTES: nothing */
};

/* The template as a send means it: published, or that version; a test key's send of no version takes the draft of one
 * that was never published. *k is given back with compiled_put. */
struct rendering_of {
    struct bytes name, version;
    bool drafts; /* a draft, whoever asks */
};
bool rendering_find(struct call *c, const struct rendering_of *of, struct compiled **k, struct id *template,
                    int64_t *version);
/* Renders it. Faults are noted below `prefix`; with `sends` also what is required and missing. */
bool rendering_make(struct call *c, const struct compiled *k, const struct rendering_values *given, const char *prefix,
                    bool sends, struct rendering *out);
#endif
