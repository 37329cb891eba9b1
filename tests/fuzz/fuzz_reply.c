/* Replies: however the bytes are cut, they are the same replies, clean and within their maxima. */
#include "delivery/reply.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum reply_state read_in_steps(struct reply_reader *r, struct bytes in, size_t step, size_t *used)
{
    enum reply_state state = REPLY_MORE;

    reply_begin(r);
    for (*used = 0; *used < in.n && state == REPLY_MORE;) {
        size_t n = 0;

        state = reply_read(r, bytes_head(bytes_from(in, *used), step), &n);
        assert(n <= step && (n || state != REPLY_MORE));
        *used += n;
    }
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reply_reader whole, cut;
    struct bytes in = { size > 1 ? (const char *)data + 1 : "", size > 1 ? size - 1 : 0 };
    size_t step = size ? 1 + data[0] % 97 : 1, used = 0, used_cut = 0;

    for (; in.n; in = bytes_from(in, used)) {
        enum reply_state state = read_in_steps(&whole, in, in.n, &used);

        assert(read_in_steps(&cut, in, step, &used_cut) == state && (state == REPLY_BROKEN || used == used_cut));
        if (state != REPLY_DONE)
            break;
        assert(whole.reply.code >= 100 && whole.reply.code < 600 && whole.reply.code == cut.reply.code);
        assert(bytes_equal(whole.reply.text, cut.reply.text) && whole.reply.text.n <= REPLY_TEXT_MAX);
        assert(bytes_is_utf8(whole.reply.text) && bytes_find(whole.reply.text, 0) == whole.reply.text.n);
        assert(bytes_equal(whole.reply.enhanced, cut.reply.enhanced));
        assert(!whole.reply.enhanced.n || whole.reply.enhanced.p[0] == '0' + whole.reply.code / 100);
    }
    return 0;
}
