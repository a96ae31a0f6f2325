// Command franz puts franz-go behind the drivers' verbs; see drivers/registry.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const keys = 1000

var filler = strings.Repeat("the quick brown fox jumps over the lazy dog ", 2)

type arguments map[string]string

func (a arguments) number(name string) int64 {
	if a[name] == "" {
		return 0
	}
	n, err := strconv.ParseInt(a[name], 10, 64)
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	args := arguments{}
	for _, word := range os.Args[2:] {
		name, value, _ := strings.Cut(word, "=")
		args[name] = value
	}
	verbs := map[string]func(arguments) any{"produce": produce, "consume": consume, "group": group, "seek": seek}
	check(json.NewEncoder(os.Stdout).Encode(verbs[os.Args[1]](args)))
}

func client(args arguments, options ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(args["bootstrap"]))...)
	check(err)
	return c
}

func produce(args arguments) any {
	codec := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[args["codec"]]
	options := []kgo.Opt{kgo.DefaultProduceTopic(args["topic"]), kgo.ProducerBatchCompression(codec),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(20 * time.Millisecond)}
	if args["idempotent"] == "" {
		options = append(options, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	c := client(args, options...)
	defer c.Close()
	var acked atomic.Int64
	var failure atomic.Value
	rate, base, start := args.number("rate"), args.number("base_ts"), time.Now()
	sent := int64(0)
	for i := args.number("from"); i < args.number("to"); i++ {
		if sent++; rate > 0 && sent%50 == 0 {
			time.Sleep(time.Duration(sent*int64(time.Second)/rate) - time.Since(start))
		}
		record := &kgo.Record{Key: fmt.Appendf(nil, "key-%05d", i%keys),
			Value:     fmt.Appendf(nil, "%09d:%s", i, filler[:40+i%40]),
			Timestamp: time.UnixMilli(base + i)}
		c.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				failure.CompareAndSwap(nil, err.Error())
			} else if n := acked.Add(1); n%1000 == 0 {
				fmt.Fprintf(os.Stderr, "progress %d\n", n)
			}
		})
	}
	check(c.Flush(context.Background()))
	if text := failure.Load(); text != nil {
		check(fmt.Errorf("%v", text))
	}
	return map[string]int64{"acked": acked.Load()}
}

// offsets asks ListOffsets for every partition of the topic: timestamp -1 is the end, -2 the beginning.
func offsets(c *kgo.Client, topic string, timestamp int64) map[int32]int64 {
	metadata := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	metadata.Topics = append(metadata.Topics, asked)
	answer, err := metadata.RequestWith(context.Background(), c)
	check(err)
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, p := range answer.Topics[0].Partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = p.Partition, timestamp
		t.Partitions = append(t.Partitions, partition)
	}
	request.Topics = append(request.Topics, t)
	listed, err := request.RequestWith(context.Background(), c)
	check(err)
	found := map[int32]int64{}
	for _, p := range listed.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			check(fmt.Errorf("ListOffsets: partition %d: error %d", p.Partition, p.ErrorCode))
		}
		found[p.Partition] = p.Offset
	}
	return found
}

func output(path string) (*os.File, *bufio.Writer) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	check(err)
	return file, bufio.NewWriterSize(file, 1<<16)
}

func write(out *bufio.Writer, r *kgo.Record) {
	fmt.Fprintf(out, "%d\t%d\t%d\t%s\t%s\n", r.Partition, r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value)
}

func failed(fetches kgo.Fetches) {
	for _, e := range fetches.Errors() {
		if e.Err != context.DeadlineExceeded && e.Err != context.Canceled {
			check(e.Err)
		}
	}
}

func consume(args arguments) any {
	c := client(args, kgo.ConsumeTopics(args["topic"]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	left := int64(0)
	for _, end := range offsets(c, args["topic"], -1) {
		left += end
	}
	for _, first := range offsets(c, args["topic"], -2) {
		left -= first
	}
	file, out := output(args["out"])
	defer file.Close()
	count := int64(0)
	for count < left {
		fetches := c.PollFetches(context.Background())
		failed(fetches)
		fetches.EachRecord(func(r *kgo.Record) { write(out, r); count++ })
	}
	check(out.Flush())
	return map[string]int64{"count": count}
}

func group(args arguments) any {
	leaving, leave := context.WithCancel(context.Background())
	go func() { _, _ = io.ReadAll(os.Stdin); leave() }()
	file, out := output(args["out"])
	defer file.Close()
	events, err := os.OpenFile(args["out"]+".events", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	check(err)
	note := func(what string, partitions map[string][]int32) {
		fmt.Fprintf(events, "%s %d\n", what, len(partitions[args["topic"]]))
	}
	c := client(args, kgo.ConsumerGroup(args["group"]), kgo.ConsumeTopics(args["topic"]), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(time.Second),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { note("assigned", p) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, p map[string][]int32) {
			check(c.CommitUncommittedOffsets(ctx))
			note("revoked", p)
		}))
	for leaving.Err() == nil {
		wait, cancel := context.WithTimeout(leaving, 200*time.Millisecond)
		fetches := c.PollFetches(wait)
		cancel()
		failed(fetches)
		fetches.EachRecord(func(r *kgo.Record) { write(out, r) })
		check(out.Flush())
		if fetches.NumRecords() > 0 {
			check(c.CommitUncommittedOffsets(context.Background()))
		}
		c.AllowRebalance()
	}
	check(c.CommitUncommittedOffsets(context.Background()))
	c.CloseAllowingRebalance()
	return map[string]int{}
}

func seek(args arguments) any {
	lister := client(args)
	found := offsets(lister, args["topic"], args.number("ts"))
	lister.Close()
	result := map[string]any{}
	for partition, offset := range found {
		name := strconv.Itoa(int(partition))
		result[name] = nil
		if offset < 0 {
			continue
		}
		c := client(args, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			args["topic"]: {partition: kgo.NewOffset().At(offset)}}))
		fetches := c.PollFetches(context.Background())
		failed(fetches)
		first := fetches.Records()[0]
		number, err := strconv.Atoi(strings.SplitN(string(first.Value), ":", 2)[0])
		check(err)
		result[name] = []int64{first.Offset, int64(number)}
		c.Close()
	}
	return result
}
