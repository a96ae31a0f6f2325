/* A connector library in C: the source "c.Count" writes the numbers 1 to `count` into a topic, the sink
 * "c.Lines" appends the texts of a topic to a file. Build it with
 *
 *     cc -std=c11 -shared -fPIC -I connector-api -o libc_connector.so examples/c-connector/connector.c
 *
 * and put it into a directory of plugin.path. docs/plugins.md says what the calls mean.
 */
#define _POSIX_C_SOURCE 200809L
#include "connector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- answers ------------------------------------------------------------------------------------- */

static void release_bytes(void *owner, uint8_t *data, size_t len) {
    (void)data, (void)len;
    free(owner);
}

/* Hands malloc'ed bytes over. */
static int32_t answer_bytes(levada_buffer *out, uint8_t *bytes, size_t len) {
    *out = (levada_buffer){bytes, len, bytes, release_bytes};
    return LEVADA_OK;
}

/* Static text needs no release. */
static int32_t text(levada_buffer *out, int32_t status, const char *words) {
    *out = (levada_buffer){(uint8_t *)words, strlen(words), NULL, NULL};
    return status;
}

/* --- configuration: a flat JSON object of texts (this reader knows no escapes) -------------------- */

/* A copy of the text of `key`, or NULL. */
static char *config_text(levada_slice json, const char *key) {
    char *all = strndup((const char *)json.data, json.len), *found = NULL, name[64];
    snprintf(name, sizeof name, "\"%s\":\"", key);
    char *start = all ? strstr(all, name) : NULL;
    if (start) {
        start += strlen(name);
        char *end = strchr(start, '"');
        if (end) found = strndup(start, (size_t)(end - start));
    }
    free(all);
    return found;
}

/* --- connectors: both only keep their configuration ---------------------------------------------- */

typedef struct {
    char *config;
} connector;

static int32_t connector_create(void **made, levada_buffer *out) {
    *made = calloc(1, sizeof(connector));
    return *made ? LEVADA_OK : text(out, LEVADA_FATAL, "no memory");
}

static int32_t connector_start(void *self, levada_slice name, levada_slice config, levada_buffer *out) {
    (void)name;
    ((connector *)self)->config = strndup((const char *)config.data, config.len);
    return ((connector *)self)->config ? LEVADA_OK : text(out, LEVADA_FATAL, "no memory");
}

/* One task with the connector's own configuration. */
static int32_t connector_task_configs(void *self, uint32_t max_tasks, levada_buffer *out) {
    (void)max_tasks;
    const char *config = ((connector *)self)->config;
    if (!config) return text(out, LEVADA_FATAL, "not started");
    size_t len = strlen(config) + 2;
    char *list = malloc(len + 1);
    if (!list) return text(out, LEVADA_FATAL, "no memory");
    snprintf(list, len + 1, "[%s]", config);
    return answer_bytes(out, (uint8_t *)list, len);
}

static int32_t connector_stop(void *self, levada_buffer *out) {
    (void)self, (void)out;
    return LEVADA_OK;
}

static void connector_release(void *self) {
    free(((connector *)self)->config);
    free(self);
}

/* --- the source ---------------------------------------------------------------------------------- */

typedef struct {
    const levada_source_context *context;
    char *topic;
    long next, count;
} source;

static int32_t source_info(levada_buffer *out) {
    return text(out, LEVADA_OK,
                "{\"class\":\"c.Count\",\"aliases\":[],\"version\":\"1.0\",\"config\":["
                "{\"name\":\"topic\",\"type\":\"STRING\",\"required\":true,\"importance\":\"HIGH\","
                "\"check\":{\"non_empty\":true},\"documentation\":\"Topic to write to.\"},"
                "{\"name\":\"count\",\"type\":\"INT\",\"default\":\"10\",\"check\":{\"min\":0},"
                "\"documentation\":\"Last number.\"}]}");
}

/* A check that keys alone can't tell. */
static int32_t source_validate(levada_slice config, levada_buffer *out) {
    char *count = config_text(config, "count");
    int bad = count && strcmp(count, "13") == 0;
    free(count);
    return bad ? text(out, LEVADA_OK, "[{\"key\":\"count\",\"message\":\"13 brings bad luck\"}]") : LEVADA_OK;
}

static int32_t source_create_task(void *self, void **task, levada_buffer *out) {
    (void)self;
    *task = calloc(1, sizeof(source));
    return *task ? LEVADA_OK : text(out, LEVADA_FATAL, "no memory");
}

static int32_t source_start(void *self, const levada_source_context *context, levada_slice config, levada_buffer *out) {
    source *task = self;
    task->context = context;
    task->topic = config_text(config, "topic");
    if (!task->topic) return text(out, LEVADA_CONFIG, "topic is missing");
    char *count = config_text(config, "count");
    task->count = count ? atol(count) : 10;
    free(count);
    task->next = 1;

    /* Go on where the last task's offset was committed. */
    static const char asked[] = "[{\"numbers\":\"all\"}]";
    levada_buffer stored = {0};
    int32_t status = context->offsets(context->handle, (levada_slice){(const uint8_t *)asked, strlen(asked)}, &stored);
    if (status != LEVADA_OK) {
        *out = stored;
        return status;
    }
    char *json = strndup((const char *)stored.data, stored.len), *next = json ? strstr(json, "\"next\":") : NULL;
    if (next) task->next = atol(next + strlen("\"next\":"));
    free(json);
    if (stored.release) stored.release(stored.owner, stored.data, stored.len);
    return LEVADA_OK;
}

/* A growing batch. */
typedef struct {
    uint8_t *bytes;
    size_t len, room;
} batch;

static void put(batch *to, const void *bytes, size_t len) {
    if (to->len + len > to->room) {
        to->room = (to->len + len) * 2;
        to->bytes = realloc(to->bytes, to->room);
        if (!to->bytes) abort();
    }
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
}

static void put_number(batch *to, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++) put(to, &(uint8_t){(uint8_t)(number >> (8 * i))}, 1);
}

static void put_text(batch *to, const char *words) {
    put_number(to, strlen(words), 4);
    put(to, words, strlen(words));
}

static int32_t source_poll(void *self, uint64_t max_wait_ms, levada_buffer *out) {
    source *task = self;
    if (task->next > task->count) {
        if (task->context->wait(task->context->handle, max_wait_ms)) return text(out, LEVADA_CANCELLED, "stopped");
        return LEVADA_OK; /* no bytes: no records yet */
    }
    long first = task->next, last = task->count < first + 99 ? task->count : first + 99;
    batch to = {0};
    put(&to, "LVB1\1\1\0\0", 8);
    put_number(&to, 1, 4), put_text(&to, task->topic);         /* topics */
    put_number(&to, 0, 4);                                     /* schemas */
    put_number(&to, (uint64_t)(last - first + 1), 4);          /* records */
    for (long number = first; number <= last; number++) {
        char digits[32];
        int len = snprintf(digits, sizeof digits, "%ld", number);
        put_number(&to, 4 + 4 + 8 + 4 + 1 + 4 + 1 + 4 + (uint64_t)len + 4, 4);
        put_number(&to, 0, 4);                                 /* first topic */
        put_number(&to, UINT32_MAX, 4);                        /* any partition */
        put_number(&to, UINT64_C(1) << 63, 8);                 /* no timestamp */
        put_number(&to, UINT32_MAX, 4), put(&to, "\0", 1);     /* key: no schema, null */
        put_number(&to, UINT32_MAX, 4), put(&to, "\10", 1);    /* value: no schema, string */
        put_text(&to, digits);
        put_number(&to, 0, 4);                                 /* headers */
    }
    char offset[48];
    snprintf(offset, sizeof offset, "{\"next\":%ld}", last + 1);
    put_number(&to, 1, 4), put_text(&to, "{\"numbers\":\"all\"}"); /* partitions */
    put_number(&to, 1, 4);                                     /* checkpoints */
    put_number(&to, (uint64_t)(last - first + 1), 4), put_number(&to, 0, 4), put_text(&to, offset);
    put(&to, "\0", 1);                                         /* after all records before it */
    task->next = last + 1;
    return answer_bytes(out, to.bytes, to.len);
}

static int32_t source_stop(void *self, levada_buffer *out) {
    (void)self, (void)out;
    return LEVADA_OK;
}

static void source_release(void *self) {
    source *task = self;
    if (task->context) task->context->release(task->context->handle);
    free(task->topic);
    free(task);
}

/* --- the sink ------------------------------------------------------------------------------------ */

typedef struct {
    const levada_sink_context *context;
    FILE *file;
} sink;

static int32_t sink_info(levada_buffer *out) {
    return text(out, LEVADA_OK,
                "{\"class\":\"c.Lines\",\"aliases\":[],\"version\":\"1.0\",\"config\":["
                "{\"name\":\"file\",\"type\":\"STRING\",\"required\":true,\"importance\":\"HIGH\","
                "\"documentation\":\"File to append to.\"}]}");
}

static int32_t sink_connector_start(void *self, levada_slice name, levada_slice config, levada_buffer *out) {
    char *file = config_text(config, "file");
    if (!file) return text(out, LEVADA_CONFIG, "file is missing");
    free(file);
    return connector_start(self, name, config, out);
}

static int32_t sink_create_task(void *self, void **task, levada_buffer *out) {
    (void)self;
    *task = calloc(1, sizeof(sink));
    return *task ? LEVADA_OK : text(out, LEVADA_FATAL, "no memory");
}

static int32_t sink_start(void *self, const levada_sink_context *context, levada_slice config, levada_buffer *out) {
    sink *task = self;
    task->context = context;
    char *path = config_text(config, "file");
    task->file = path ? fopen(path, "a") : NULL;
    free(path);
    return task->file ? LEVADA_OK : text(out, LEVADA_CONFIG, "file can't be opened");
}

typedef struct {
    const uint8_t *at, *end;
    int short_of; /* 1 once the bytes did not suffice */
} reader;

static uint64_t number(reader *from, int bytes) {
    uint64_t value = 0;
    if (from->end - from->at < bytes) return from->short_of = 1, 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)*from->at++ << (8 * i);
    return value;
}

static const uint8_t *bytes(reader *from, uint64_t len) {
    const uint8_t *start = from->at;
    if ((uint64_t)(from->end - from->at) < len) return from->short_of = 1, start;
    from->at += len;
    return start;
}

/* Reads a value; strings are given back, nested values are not for this connector. */
static int value(reader *from, const uint8_t **words, size_t *len) {
    static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 4, 8};
    uint8_t tag = (uint8_t)number(from, 1);
    *words = NULL;
    if (tag == 8 || tag == 9) {
        *len = number(from, 4);
        *words = bytes(from, *len);
        return 1;
    }
    if (tag >= sizeof sizes) return 0;
    bytes(from, sizes[tag]);
    return 1;
}

static int32_t sink_put(void *self, levada_buffer *records, levada_buffer *out) {
    sink *task = self;
    if (records->len == 0) return LEVADA_OK;
    reader from = {records->data, records->data + records->len, 0};
    bytes(&from, 8);
    for (uint64_t topics = number(&from, 4); topics > 0 && !from.short_of; topics--) bytes(&from, number(&from, 4));
    for (uint64_t schemas = number(&from, 4); schemas > 0 && !from.short_of; schemas--) bytes(&from, number(&from, 4));
    for (uint64_t left = number(&from, 4); left > 0 && !from.short_of; left--) {
        uint64_t size = number(&from, 4);
        const uint8_t *start = bytes(&from, size), *words;
        reader record = {start, from.at, 0};
        size_t len;
        bytes(&record, 4 + 4 + 8 + 8 + 1 + 4); /* topic, partition, timestamp, offset, its type, key schema */
        int plain = value(&record, &words, &len);
        number(&record, 4); /* value schema */
        if (!plain || !value(&record, &words, &len)) return text(out, LEVADA_DATA, "only plain values can be written");
        if (record.short_of) break;
        if (words) fwrite(words, 1, len, task->file);
        fputc('\n', task->file);
    }
    return from.short_of ? text(out, LEVADA_FATAL, "the batch is cut short") : LEVADA_OK;
}

/* Durable first; then everything consumed may be committed: the answer is the question. */
static int32_t sink_pre_commit(void *self, levada_slice consumed, levada_buffer *out) {
    sink *task = self;
    if (fflush(task->file) || fsync(fileno(task->file))) return text(out, LEVADA_RETRIABLE, "the file can't be written");
    uint8_t *copy = malloc(consumed.len ? consumed.len : 1);
    if (!copy) return text(out, LEVADA_FATAL, "no memory");
    memcpy(copy, consumed.data, consumed.len);
    return answer_bytes(out, copy, consumed.len);
}

static int32_t sink_stop(void *self, levada_buffer *out) {
    (void)self, (void)out;
    return LEVADA_OK;
}

static void sink_release(void *self) {
    sink *task = self;
    if (task->file) fclose(task->file);
    if (task->context) task->context->release(task->context->handle);
    free(task);
}

/* --- tables -------------------------------------------------------------------------------------- */

static const levada_source_task source_tasks = {
    .struct_size = sizeof(levada_source_task),
    .start = source_start,
    .poll = source_poll,
    .stop = source_stop,
    .release = source_release,
};

static const levada_sink_task sink_tasks = {
    .struct_size = sizeof(levada_sink_task),
    .start = sink_start,
    .put = sink_put,
    .pre_commit = sink_pre_commit,
    .stop = sink_stop,
    .release = sink_release,
};

static const levada_connector count_source = {
    .struct_size = sizeof(levada_connector),
    .kind = LEVADA_SOURCE,
    .source_task = &source_tasks,
    .info = source_info,
    .create = connector_create,
    .start = connector_start,
    .task_configs = connector_task_configs,
    .create_task = source_create_task,
    .stop = connector_stop,
    .release = connector_release,
    .validate = source_validate,
};

static const levada_connector lines_sink = {
    .struct_size = sizeof(levada_connector),
    .kind = LEVADA_SINK,
    .sink_task = &sink_tasks,
    .info = sink_info,
    .create = connector_create,
    .start = sink_connector_start,
    .task_configs = connector_task_configs,
    .create_task = sink_create_task,
    .stop = connector_stop,
    .release = connector_release,
};

static const levada_connector *const connectors[] = {&count_source, &lines_sink};

LEVADA_EXPORT const levada_plugin levada_plugin_entry = {
    .magic = LEVADA_MAGIC,
    .struct_size = sizeof(levada_plugin),
    .abi_major = LEVADA_ABI_MAJOR,
    .abi_minor = LEVADA_ABI_MINOR,
    .name = {(const uint8_t *)"c-connector", 11},
    .version = {(const uint8_t *)"1.0", 3},
    .connectors = connectors,
    .connector_count = 2,
};
