/* service/core/setting.h - parameters through the API: kept in the store, live, with history. Operator's account and
 * scope only. delivery.mode `live` is refused by this build. */
#ifndef SERVICE_SETTING_H
#define SERVICE_SETTING_H
#include "base/params.h"
#include "service/core/call.h"

struct setting_view {
    enum param param;
    struct bytes value, standard, min, max;
    struct bytes pending; /* what the next start brings into force; NO_BYTES: the same */
    const char *type;
    enum param_source source;
};
struct setting_list_in {
    struct page page;
};
struct setting_list_out {
    struct setting_view *rows;
    size_t n;
    struct page_out page;
}; /* by name, ascending */
bool setting_list(struct call *c, const struct setting_list_in *in, struct setting_list_out *out);
struct setting_get_in {
    struct bytes name;
};
bool setting_get(struct call *c, const struct setting_get_in *in, struct setting_view *out);
struct setting_update_in {
    struct bytes name, value; /* value NO_BYTES: back to the default */
};
bool setting_update(struct call *c, const struct setting_update_in *in, struct setting_view *out);
struct setting_history_in {
    struct bytes name;
    struct page page;
};
struct setting_history_out {
    struct setting_change_row *rows;
    size_t n;
    struct page_out page;
};
bool setting_history(struct call *c, const struct setting_history_in *in, struct setting_history_out *out);

/* ---- inside service/ ---- */
bool settings_load(struct service *svc, struct err *e); /* stored values into the parameters */
void settings_follow(struct service *svc);              /* fiber: changes that other nodes made */
#endif
