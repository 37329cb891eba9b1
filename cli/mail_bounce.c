/* cli/mail_bounce.c - postrider mail bounce: what a mail that came back says (mail/bounce.h). */
#include "base/params.h"
#include "cli/mail.h"
#include "mail/bounce.h"
#include "service/body/structure.h"

#define RECIPIENTS_MAX 1000
#define TEXT_MAX       ((size_t)1024 * 1024)

static const char *const kinds[] = { "none", "report", "complaint", "auto_reply" }, *const actions[] = {
    "failed", "delayed", "delivered", "relayed", "expanded"
};

static void write_recipient(struct jw *w, const struct bounce_recipient *r)
{
    jw_object(w);
    jw_key_text(w, "address", r->final);
    jw_key_text(w, "original", r->original);
    jw_key_text(w, "action", bytes_of(actions[r->action]));
    jw_key_text(w, "status", r->status);
    jw_key(w, "code");
    if (r->code)
        jw_int(w, r->code);
    else
        jw_null(w);
    jw_key_text(w, "reply", r->reply);
    jw_key_text(w, "remote_mta", r->remote_mta);
    jw_key_text(w, "cause", why_text(r->meaning.why));
    jw_key_text(w, "permanence", permanence_text(r->meaning.permanence));
    jw_key_text(w, "rule", bytes_of(r->meaning.rule));
    jw_object_end(w);
}

static void write_bounce(struct jw *w, const struct bounce *b)
{
    jw_key_text(w, "kind", bytes_of(kinds[b->kind]));
    jw_key(w, "recipients");
    jw_array(w);
    for (size_t i = 0; i < b->n; i++)
        write_recipient(w, &b->recipients[i]);
    jw_array_end(w);
    jw_key_text(w, "reporting_mta", b->reporting_mta);
    jw_key_text(w, "envelope_id", b->envelope_id);
    jw_key_text(w, "feedback_type", b->feedback_type);
    jw_key_bool(w, "complains", b->complains);
    jw_key_text(w, "source_ip", b->source_ip);
    jw_key_text(w, "original_mail_from", b->original_mail_from);
    jw_key_text(w, "original_id", b->original_id);
    jw_key_text(w, "original_header", b->original_header);
}

static bool run(struct mail_case *c)
{
    struct mime_limits limits = structure_limits();
    struct classifier *rules = NULL;
    struct bounce_reading how = { .limits = &limits, .recipients_max = RECIPIENTS_MAX, .text_max = TEXT_MAX };
    struct bounce b;

    if (!classifier_new(NO_BYTES, &rules, &c->err))
        return false;
    how.classifier = rules;
    bounce_read(&how, c->value, c->a, &b);
    write_bounce(c->out, &b);
    classifier_free(&rules);
    return true;
}

const struct mail_verb mail_verb_bounce = { .name = "bounce",
                                            .member = "message",
                                            .message = true,
                                            .run = run,
                                            .help = "a message: is it a report, a complaint, an automatic answer, and "
                                                    "of whom?" };
