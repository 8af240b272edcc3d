#include "fake_pool.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fake_server.h"

/* ---- content ------------------------------------------------------------------------------------
 */

static void message_free(gpointer data)
{
    struct fake_mail *message = data;
    g_free(message->header);
    g_free(message->body);
    g_free(message->flags);
    g_free(message);
}

static void box_free(gpointer data)
{
    struct fake_box *box = data;
    g_ptr_array_free(box->messages, TRUE);
    g_free(box->raw);
    g_free(box);
}

struct fake_box *fake_box_at(struct pool *pool, const char *raw, size_t len)
{
    for (guint i = 0; i < pool->boxes->len; i++) {
        struct fake_box *box = pool->boxes->pdata[i];
        if (strlen(box->raw) == len && memcmp(box->raw, raw, len) == 0) {
            return box;
        }
    }
    return NULL;
}

static struct fake_box *must_box(struct pool *pool, const char *raw)
{
    struct fake_box *box = fake_box_at(pool, raw, strlen(raw));
    assert(box != NULL && "the test made the mailbox");
    return box;
}

struct fake_mail *fake_mail_at(struct fake_box *box, uint32_t uid)
{
    guint low = 0;
    guint high = box->messages->len;
    while (low < high) {
        guint middle = (low + high) / 2;
        struct fake_mail *message = box->messages->pdata[middle];
        if (message->uid == uid) {
            return message;
        }
        if (message->uid < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static struct fake_mail *must_mail(struct pool *pool, const char *raw, uint32_t uid)
{
    struct fake_mail *message = fake_mail_at(must_box(pool, raw), uid);
    assert(message != NULL && "the test made the message");
    return message;
}

void fake_mailbox(struct pool *pool, const char *raw, char delimiter, unsigned attributes)
{
    pthread_mutex_lock(&pool->mutex);
    struct fake_box *box = g_new0(struct fake_box, 1);
    box->raw = g_strdup(raw);
    box->delimiter = delimiter;
    box->attributes = attributes;
    box->special_use = "";
    box->uidvalidity = ++pool->next_validity;
    box->uidnext = 1;
    box->modseq = 1;
    box->messages = g_ptr_array_new_with_free_func(message_free);
    g_ptr_array_add(pool->boxes, box);
    pthread_mutex_unlock(&pool->mutex);
}

void fake_mailbox_use(struct pool *pool, const char *raw, const char *special_use)
{
    pthread_mutex_lock(&pool->mutex);
    must_box(pool, raw)->special_use = special_use;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_mailbox_remove(struct pool *pool, const char *raw)
{
    pthread_mutex_lock(&pool->mutex);
    g_ptr_array_remove(pool->boxes, must_box(pool, raw));
    pthread_mutex_unlock(&pool->mutex);
}

static uint32_t add_mail(struct fake_box *box, const char *subject, uint32_t origin)
{
    struct fake_mail *message = g_new0(struct fake_mail, 1);
    message->uid = box->uidnext++;
    message->header = g_strdup_printf("Date: Thu, 22 Aug 2002 18:26:%02u +0000\r\nSubject: %s\r\n"
                                      "From: A <a@example.org>\r\nMessage-ID: <%s.%u@%s>\r\n\r\n",
        origin % 60, subject, subject, origin, box->raw);
    message->body =
        g_strdup_printf("%sThis is %s, number %u.\r\n", message->header, subject, origin);
    message->flags = g_strdup("");
    message->date_s = 1030040786 + (int64_t)origin;
    message->modseq = ++box->modseq;
    g_ptr_array_add(box->messages, message);
    return message->uid;
}

uint32_t fake_message(struct pool *pool, const char *raw, const char *subject)
{
    pthread_mutex_lock(&pool->mutex);
    struct fake_box *box = must_box(pool, raw);
    uint32_t uid = add_mail(box, subject, box->uidnext);
    pthread_mutex_unlock(&pool->mutex);
    return uid;
}

uint32_t fake_messages(struct pool *pool, const char *raw, unsigned count)
{
    uint32_t uid = 0;
    pthread_mutex_lock(&pool->mutex);
    struct fake_box *box = must_box(pool, raw);
    for (unsigned i = 0; i < count; i++) {
        char subject[32];
        (void)snprintf(subject, sizeof subject, "m%u", box->uidnext);
        uid = add_mail(box, subject, box->uidnext);
    }
    pthread_mutex_unlock(&pool->mutex);
    return uid;
}

uint32_t fake_copy(struct pool *pool, const char *raw, uint32_t uid)
{
    pthread_mutex_lock(&pool->mutex);
    struct fake_box *box = must_box(pool, raw);
    const struct fake_mail *from = must_mail(pool, raw, uid);
    struct fake_mail *message = g_new0(struct fake_mail, 1);
    *message = *from;
    message->uid = box->uidnext++;
    message->header = g_strdup(from->header);
    message->body = g_strdup(from->body);
    message->flags = g_strdup(from->flags);
    message->modseq = ++box->modseq;
    g_ptr_array_add(box->messages, message);
    uint32_t copy = message->uid;
    pthread_mutex_unlock(&pool->mutex);
    return copy;
}

void fake_expunge(struct pool *pool, const char *raw, uint32_t uid)
{
    pthread_mutex_lock(&pool->mutex);
    struct fake_box *box = must_box(pool, raw);
    g_ptr_array_remove(box->messages, must_mail(pool, raw, uid));
    box->modseq++;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_flags(struct pool *pool, const char *raw, uint32_t uid, const char *flags)
{
    pthread_mutex_lock(&pool->mutex);
    struct fake_mail *message = must_mail(pool, raw, uid);
    g_free(message->flags);
    message->flags = g_strdup(flags);
    message->modseq = ++must_box(pool, raw)->modseq;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_renumber(struct pool *pool, const char *raw, uint32_t uidvalidity)
{
    pthread_mutex_lock(&pool->mutex);
    struct fake_box *box = must_box(pool, raw);
    box->uidvalidity = uidvalidity;
    for (guint i = 0; i < box->messages->len; i++) {
        struct fake_mail *message = box->messages->pdata[i];
        message->uid = i + 1;
    }
    box->uidnext = box->messages->len + 1;
    pthread_mutex_unlock(&pool->mutex);
}

char *fake_body(struct pool *pool, const char *raw, uint32_t uid)
{
    pthread_mutex_lock(&pool->mutex);
    char *body = strdup(must_mail(pool, raw, uid)->body);
    pthread_mutex_unlock(&pool->mutex);
    return body;
}

/* ---- switches
 * ------------------------------------------------------------------------------------- */

void fake_offline(struct pool *pool, bool offline)
{
    pthread_mutex_lock(&pool->mutex);
    pool->offline = offline;
    pool->age++; /* connections that exist are dead */
    pthread_mutex_unlock(&pool->mutex);
}

void fake_auth_failed(struct pool *pool, bool failed)
{
    pthread_mutex_lock(&pool->mutex);
    pool->auth_failed = failed;
    pool->age++;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_condstore(struct pool *pool, bool condstore)
{
    pthread_mutex_lock(&pool->mutex);
    pool->condstore = condstore;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_quota(struct pool *pool, uint64_t used_bytes, uint64_t limit_bytes)
{
    pthread_mutex_lock(&pool->mutex);
    pool->quota = (struct quota){true, used_bytes, limit_bytes};
    pthread_mutex_unlock(&pool->mutex);
}

void fake_odd_lines(struct pool *pool, size_t count)
{
    pthread_mutex_lock(&pool->mutex);
    pool->odd = count;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_break_after_rows(struct pool *pool, int64_t rows)
{
    pthread_mutex_lock(&pool->mutex);
    pool->break_rows = rows;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_body_fault(struct pool *pool, const char *raw, uint32_t uid, enum body_fault fault)
{
    pthread_mutex_lock(&pool->mutex);
    must_mail(pool, raw, uid)->fault = fault;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_lie_about_size(struct pool *pool, const char *raw, uint32_t uid, int64_t more)
{
    pthread_mutex_lock(&pool->mutex);
    must_mail(pool, raw, uid)->lie = more;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_row_without_size(struct pool *pool, const char *raw, uint32_t uid)
{
    pthread_mutex_lock(&pool->mutex);
    must_mail(pool, raw, uid)->sizeless = true;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_refuse(struct pool *pool, const char *raw, bool refuse)
{
    pthread_mutex_lock(&pool->mutex);
    must_box(pool, raw)->refused = refuse;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_hold(struct pool *pool, enum hold hold)
{
    pthread_mutex_lock(&pool->mutex);
    pool->hold = hold;
    pool->hold_rows = 0;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_hold_rows_after(struct pool *pool, int64_t rows)
{
    pthread_mutex_lock(&pool->mutex);
    pool->hold = HOLD_ROWS;
    pool->hold_rows = rows;
    pthread_mutex_unlock(&pool->mutex);
}

void fake_release(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->hold = HOLD_NONE;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

void fake_await_held(struct pool *pool, unsigned count)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->held < count) {
        pthread_cond_wait(&pool->changed, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

void fake_await_none_held(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->held > 0) {
        pthread_cond_wait(&pool->changed, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

struct fake_counts fake_counts(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    struct fake_counts counts = pool->counts;
    pthread_mutex_unlock(&pool->mutex);
    return counts;
}

char *fake_row_log(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    char *text = strdup(pool->row_log->str);
    pthread_mutex_unlock(&pool->mutex);
    return text;
}

int fake_stand(struct session *session, enum hold hold, struct err *why)
{
    struct pool *pool = session->pool;
    pool->held += pool->hold == hold;
    bool counted = pool->hold == hold;
    pthread_cond_broadcast(&pool->changed);
    while (pool->hold == hold && !session->cancelled) {
        pthread_cond_wait(&pool->changed, &pool->mutex);
    }
    pool->held -= counted;
    pthread_cond_broadcast(&pool->changed);
    if (session->cancelled) {
        session->dead = true;
        return err_set(why, ERR_CANCELLED, EINTR, "given up");
    }
    if (session->age != pool->age) {
        session->dead = true;
        return err_set(why, ERR_RETRY, EHOSTDOWN, "the connection is lost");
    }
    return 0;
}

/* ---- the pool
 * ---------------------------------------------------------------------------------------- */

enum { JOB_QUEUED = 1, JOB_CANCELLED };

struct worker {
    struct pool *pool;
    pthread_t thread;
    struct session *session;
    struct pool_job *job; /* that is run */
};

/* The first of the most urgent; one that was cancelled before all. */
static struct pool_job *take_job(struct pool *pool)
{
    struct pool_job **best = NULL;
    for (struct pool_job **at = &pool->jobs; *at != NULL; at = &(*at)->next) {
        if ((*at)->state == JOB_CANCELLED) {
            best = at;
            break;
        }
        if (best == NULL || (*at)->priority < (*best)->priority) {
            best = at;
        }
    }
    if (best == NULL) {
        return NULL;
    }
    struct pool_job *job = *best;
    *best = job->next;
    job->next = NULL;
    return job;
}

static int connect_session(struct worker *worker, struct err *why)
{
    struct pool *pool = worker->pool;
    if (worker->session != NULL && (worker->session->dead || worker->session->age != pool->age)) {
        g_free(worker->session);
        worker->session = NULL;
    }
    if (worker->session == NULL) {
        struct session *session = g_new0(struct session, 1);
        session->pool = pool;
        session->age = pool->age;
        worker->session = session;
        int rc = fake_stand(session, HOLD_CONNECT, why);
        if (rc == 0 && pool->offline) {
            rc = err_set(why, ERR_RETRY, EHOSTDOWN, "the server cannot be reached");
        } else if (rc == 0 && pool->auth_failed) {
            rc = err_set(why, ERR_AUTH, EACCES, "the password is refused");
        }
        if (rc != 0) {
            session->dead = true;
            return rc;
        }
    }
    return 0;
}

static void serve(struct worker *worker, struct pool_job *job)
{
    struct pool *pool = worker->pool;
    struct err why = ERR_INIT;
    int rc;
    if (job->state == JOB_CANCELLED) {
        rc = err_set(&why, ERR_CANCELLED, EINTR, "given up");
    } else {
        worker->job = job;
        rc = connect_session(worker, &why);
        if (rc == 0) {
            struct session *session = worker->session;
            pthread_mutex_unlock(&pool->mutex);
            rc = job->run(job->arg, session, &why);
            pthread_mutex_lock(&pool->mutex);
            session->dead = session->dead || session->cancelled;
        }
        worker->job = NULL;
    }
    assert((rc == 0) == (why.class == ERR_NONE) || rc == 0);
    pthread_mutex_unlock(&pool->mutex);
    job->done(job->arg, rc, &why);
    pthread_mutex_lock(&pool->mutex);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct pool *pool = worker->pool;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct pool_job *job = take_job(pool);
        if (job != NULL) {
            serve(worker, job);
        } else if (pool->ending) {
            break;
        } else {
            pthread_cond_wait(&pool->changed, &pool->mutex);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    g_free(worker->session);
    return NULL;
}

struct pool *fake_pool_create(unsigned workers)
{
    struct pool *pool = g_new0(struct pool, 1);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->changed, NULL);
    pool->boxes = g_ptr_array_new_with_free_func(box_free);
    pool->row_log = g_string_new("");
    pool->condstore = true;
    pool->break_rows = -1;
    pool->next_validity = 1000;
    pool->worker_count = workers;
    pool->workers = g_new0(struct worker, workers);
    for (unsigned i = 0; i < workers; i++) {
        pool->workers[i].pool = pool;
        if (pthread_create(&pool->workers[i].thread, NULL, work, &pool->workers[i]) != 0) {
            abort();
        }
    }
    return pool;
}

int pool_connect(struct pool *pool, struct err *why)
{
    int rc = 0;
    pthread_mutex_lock(&pool->mutex);
    if (pool->offline) {
        rc = err_set(why, ERR_RETRY, EHOSTDOWN, "the server cannot be reached");
    } else if (pool->auth_failed) {
        rc = err_set(why, ERR_AUTH, EACCES, "the password is refused");
    }
    pthread_mutex_unlock(&pool->mutex);
    return rc;
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->mutex);
    struct pool_job **at = &pool->jobs;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    job->next = NULL;
    job->state = JOB_QUEUED;
    *at = job;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

void pool_cancel(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->mutex);
    for (struct pool_job *queued = pool->jobs; queued != NULL; queued = queued->next) {
        if (queued == job) {
            job->state = JOB_CANCELLED;
        }
    }
    for (unsigned i = 0; i < pool->worker_count; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->job == job && worker->session != NULL) {
            worker->session->cancelled = true;
        }
    }
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

void pool_retry_now(struct pool *pool)
{
    (void)pool;
}

void pool_get_status(struct pool *pool, struct pool_status *ret)
{
    pthread_mutex_lock(&pool->mutex);
    *ret = (struct pool_status){.state = pool->offline ? POOL_OFFLINE : POOL_ONLINE};
    pthread_mutex_unlock(&pool->mutex);
}

void pool_destroy(struct pool **pool)
{
    struct pool *gone = *pool;
    if (gone == NULL) {
        return;
    }
    *pool = NULL;
    pthread_mutex_lock(&gone->mutex);
    gone->ending = true;
    gone->hold = HOLD_NONE;
    pthread_cond_broadcast(&gone->changed);
    pthread_mutex_unlock(&gone->mutex);
    for (unsigned i = 0; i < gone->worker_count; i++) {
        (void)pthread_join(gone->workers[i].thread, NULL);
    }
    g_free(gone->workers);
    g_ptr_array_free(gone->boxes, TRUE);
    g_string_free(gone->row_log, TRUE);
    pthread_cond_destroy(&gone->changed);
    pthread_mutex_destroy(&gone->mutex);
    g_free(gone);
}
