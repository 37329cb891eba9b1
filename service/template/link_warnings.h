/* service/template/link_warnings.h - links of HTML that a mail program cannot follow, or follows without TLS: told by
 * renderings and previews alike. */
#ifndef SERVICE_LINK_WARNINGS_H
#define SERVICE_LINK_WARNINGS_H
#include "service/template/rendering.h"

enum { LINK_WARNINGS = 2 };
/* One of each kind, of the first such link; how many. */
size_t link_warnings(struct bytes html, struct arena *a, struct rendering_warning out[LINK_WARNINGS]);
#endif
