/* load: a small librdkafka driver for the benches.
 *   load produce BOOTSTRAP TOPIC PARTITIONS RECORDS SIZE [property=value...]
 *   load consume BOOTSTRAP TOPIC PARTITIONS RECORDS SIZE [property=value...]
 * Prints one JSON line: records, bytes, wall seconds, CPU seconds of this process. Values are words in random order, the
 * same in every run; partitions take turns by the hundred. Produce counts acknowledged records only, and fails on any error. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BATCH 2000
#define POOL 512

static const char *bootstrap, *topic_name;
static long partitions, records, size;
static atomic_long acknowledged, refused;
static atomic_int finished;

static void die(const char *what) {
  fprintf(stderr, "load: %s\n", what);
  exit(1);
}

static double wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void report(const char *verb, long count, double seconds, double cpu_seconds) {
  printf("{\"verb\": \"%s\", \"records\": %ld, \"bytes\": %ld, \"seconds\": %.4f, \"client_cpu_s\": %.3f}\n", verb, count, count * size,
         seconds, cpu_seconds);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf, int count, char **properties) {
  char error[512];
  if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
  for (int i = 0; i < count; i++) {
    char *value = strchr(properties[i], '=');
    if (!value) die("a property needs the form name=value");
    *value = 0;
    if (rd_kafka_conf_set(conf, properties[i], value + 1, error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
    *value = '=';
  }
  rd_kafka_t *handle = rd_kafka_new(type, conf, error, sizeof error);
  if (!handle) die(error);
  return handle;
}

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
  (void)handle, (void)opaque;
  if (!message->err) {
    atomic_fetch_add(&acknowledged, 1);
  } else if (atomic_fetch_add(&refused, 1) == 0) {
    fprintf(stderr, "load: %s\n", rd_kafka_err2str(message->err));
  }
}

static void *poll_forever(void *handle) {
  while (!atomic_load(&finished)) rd_kafka_poll(handle, 100);
  return NULL;
}

/* POOL values of `size` bytes each, made of a few words. */
static char *values(void) {
  static const char *words[] = {"order ", "shipped ", "pending ", "customer ", "4711 ", "amount ", "17.90 ", "EUR ", "item ", "0x5f3c "};
  char *pool = malloc((size_t)POOL * size + 16);
  if (!pool) die("out of memory");
  srand(20261123);
  for (long at = 0; at < POOL * size;) {
    const char *word = words[rand() % 10];
    long left = POOL * size - at, length = (long)strlen(word);
    memcpy(pool + at, word, length < left ? length : left);
    at += length;
  }
  return pool;
}

static void produce(int count, char **properties) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  rd_kafka_t *handle = client(RD_KAFKA_PRODUCER, conf, count, properties);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, topic_name, NULL);
  const struct rd_kafka_metadata *metadata;
  if (rd_kafka_metadata(handle, 0, topic, &metadata, 20000)) die("no metadata");
  rd_kafka_metadata_destroy(metadata);
  char *pool = values();
  pthread_t poller;
  pthread_create(&poller, NULL, poll_forever, handle);
  double start = wall(), used = cpu();
  for (long i = 0; i < records; i++) {
    while (rd_kafka_produce(topic, (int32_t)(i / 100 % partitions), RD_KAFKA_MSG_F_COPY, pool + i % POOL * size, (size_t)size, NULL, 0,
                            NULL) == -1) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die(rd_kafka_err2str(rd_kafka_last_error()));
      nanosleep(&(struct timespec){0, 300000}, NULL);
    }
  }
  if (rd_kafka_flush(handle, 120000)) die("flush timed out");
  double seconds = wall() - start;
  used = cpu() - used;
  atomic_store(&finished, 1);
  pthread_join(poller, NULL);
  if (atomic_load(&refused) || atomic_load(&acknowledged) != records) die("not every record was acknowledged");
  report("produce", records, seconds, used);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(handle);
}

static void consume(int count, char **properties) {
  rd_kafka_t *handle = client(RD_KAFKA_CONSUMER, rd_kafka_conf_new(), count, properties);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, topic_name, NULL);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
  static rd_kafka_message_t *batch[BATCH];
  double start = wall(), used = cpu();
  for (int32_t p = 0; p < partitions; p++) {
    if (rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue)) die("cannot start");
  }
  long seen = 0;
  while (seen < records) {
    ssize_t got = rd_kafka_consume_batch_queue(queue, 20000, batch, BATCH);
    if (got <= 0) die("no more records came");
    for (ssize_t i = 0; i < got; i++) {
      if (!batch[i]->err) seen++;
      rd_kafka_message_destroy(batch[i]);
    }
  }
  report("consume", seen, wall() - start, cpu() - used);
  for (int32_t p = 0; p < partitions; p++) rd_kafka_consume_stop(topic, p);
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(handle);
}

int main(int argc, char **argv) {
  if (argc < 7) die("load produce|consume BOOTSTRAP TOPIC PARTITIONS RECORDS SIZE [property=value...]");
  bootstrap = argv[2];
  topic_name = argv[3];
  partitions = atol(argv[4]);
  records = atol(argv[5]);
  size = atol(argv[6]);
  if (partitions < 1 || records < 1 || size < 1) die("partitions, records and size are positive numbers");
  if (!strcmp(argv[1], "produce")) {
    produce(argc - 7, argv + 7);
  } else if (!strcmp(argv[1], "consume")) {
    consume(argc - 7, argv + 7);
  } else {
    die("produce or consume");
  }
  return 0;
}
