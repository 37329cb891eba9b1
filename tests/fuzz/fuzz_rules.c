/* The rules file, and what is asked of one: whatever it says, asking ends, and what is not understood is refused with a
 * reason. */
#include "delivery/verdict.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { size ? (const char *)data : "", size }, file, text;
    struct rules *rules = NULL;
    struct err e = { 0 };
    struct meaning m;
    size_t line;

    bytes_cut(in, '\0', &file, &text); /* a file, and behind a NUL a reply's text */
    if (!text.p)
        text = in;
    if (file.n && !rules_read(file, &rules, &line, &e))
        assert(e.code != ERR_NONE && e.message[0]);
    m = rules_classify(rules, &(struct rules_query){ (enum phase)(size % 9), 400 + (int)(size % 200), NO_BYTES, text,
                                                     bytes_head(text, 40) });
    rules_prefetcher(rules ? rules : rules_shipped(), text, NULL);
    assert(m.rule && why_text(m.why).n && permanence_text(m.permanence).n);
    rules_free(&rules);
    return 0;
}
