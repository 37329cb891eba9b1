/* base/params.h - every knob, one row each in base/params.def; see there for the columns.
 *
 *     int64_t most = PARAM_INT(smtp, recipients_max);
 *     struct bytes name = PARAM_TEXT(smtp, hostname);
 *
 * Reading is an atomic load and allowed anywhere. A value comes, in rising order, from its default, the store
 * (the `setting` rows), the boot file, the environment (POSTRIDER_SMTP_RECIPIENTS_MAX) or a flag; who sets it says so.
 * TEXT values stay valid for the life of the process. SIZE is in bytes, DURATION in milliseconds inside and whole
 * seconds in the API (texts "10m", "90s", "72h", "25M", "64K" are read too; a bare number is seconds or bytes). An
 * empty bound bounds nothing. LIST items are trimmed; bounds of TEXT and LIST are lengths in bytes, at most 4096. Any
 * thread. */
#ifndef BASE_PARAMS_H
#define BASE_PARAMS_H
#include "base/err.h"
#include "base/id.h"

enum param_type {
    PARAM_TYPE_INT,
    PARAM_TYPE_SIZE,
    PARAM_TYPE_DURATION,
    PARAM_TYPE_BOOL,
    PARAM_TYPE_TEXT,
    PARAM_TYPE_CHOICE,
    PARAM_TYPE_LIST
};
enum param_when { PARAM_LIVE, PARAM_RESTART, PARAM_BOOT };
enum param_source { PARAM_FROM_DEFAULT, PARAM_FROM_STORE, PARAM_FROM_FILE, PARAM_FROM_ENV, PARAM_FROM_FLAG };

enum param {
#define PARAM(group, name, type, standard, least, most, when, text) PARAM_##group##_##name,
#include "base/params.def"
#undef PARAM
    PARAMS
};

struct param_row {
    const char *name; /* "smtp.recipients_max" */
    enum param_type type;
    const char *standard, *min, *max; /* as text; CHOICE: min is the list "a|b|c" */
    enum param_when when;
    const char *text;
};

#define PARAM_INT(group, name)  param_int(PARAM_##group##_##name)
#define PARAM_TEXT(group, name) param_text(PARAM_##group##_##name)

void params_init(void); /* defaults; once, before anything else; again in tests to start over */
void params_free(void); /* forgets everything, watchers too; nothing may be read until params_init */
/* From now on a RESTART or BOOT parameter that is set keeps its value in force until the next start; param_waits tells.
 */
void params_started(void);
bool param_waits(enum param p); /* a restart would bring another value into force */
const struct param_row *param_row(enum param p);
bool param_find(struct bytes name, enum param *out);
int64_t param_int(enum param p);       /* INT, SIZE, DURATION (ms), BOOL */
struct bytes param_text(enum param p); /* TEXT, CHOICE, LIST (comma separated) */
enum param_source param_source(enum param p);
/* Checks type and bounds; a value of a lower source than the present one is kept but not in force.
 * ERR_INVALID names the parameter, the bounds and what was given. NO_BYTES takes this source's value away. */
bool param_set(enum param p, enum param_source from, struct bytes value, struct err *e);
bool param_check(enum param p, struct bytes value, struct err *e);
/* The value in force as text, in the form the API shows (durations in seconds, sizes in bytes). */
struct bytes param_show(enum param p, struct arena *a);
/* What a restart would bring into force. */
struct bytes param_show_next(enum param p, struct arena *a);
struct bytes param_show_default(enum param p, struct arena *a);
/* "POSTRIDER_SMTP_RECIPIENTS_MAX". */
#define PARAM_ENV_NAME 128
void param_env_name(enum param p, char out[PARAM_ENV_NAME]);
/* POSTRIDER_… variables; ERR_INVALID on the first bad one. */
bool params_from_env(struct err *e);
/* Called after a value in force has changed, in the thread that set it: of one parameter, or of all (PARAMS). Each
 * watcher is called, those that came later first; one that is there already is not added again. ctx lives as long as
 * the parameters do. */
void param_on_change(enum param p, void (*changed)(enum param p, void *ctx), void *ctx);
#endif
