import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.*;

/**
 * A client of Kafka for tests: it does what each line of its standard input says, and answers each with a line.
 *
 *   Client BROKER,...
 *
 *   create TOPIC PARTITIONS            grow TOPIC PARTITIONS
 *   place TOPIC BROKERS ...            creates it; each partition lies on these brokers (1,2,3), and the first one leads it
 *   leaders TOPIC                      the leader of each partition; -1 for none
 *   coordinator GROUP
 *   move TOPIC PARTITION BROKERS       and lets the first of them lead it
 *   produce TOPIC PARTITION COUNT      delete-records TOPIC PARTITION OFFSET
 *   begin TOPIC COUNT                  a transaction in partition 0; it stays open until commit or abort
 *   commit | abort
 *   offset GROUP TOPIC PARTITION OFFSET
 *   consume GROUP TOPIC COUNT PROTOCOL joins (classic or consumer), reads so many, commits its position, leaves
 *   share GROUP TOPIC COUNT            reads so many as a share group
 *   delete-group GROUP                 delete-topic TOPIC
 */
public class Client {
    static String broker;
    static Admin admin;
    static KafkaProducer<String, String> producer, transaction;

    public static void main(String[] args) throws Exception {
        broker = args[0];
        admin = Admin.create(settings());
        admin.describeCluster().nodes().get();
        System.out.println("connected");
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            String answer;
            try {
                answer = run(lines.nextLine().split(" "));
            } catch (Exception error) {
                answer = "failed: " + error.toString().replace('\n', ' ');
            }
            System.out.println(answer);
        }
        Runtime.getRuntime().halt(0);
    }

    static Map<String, Object> settings() {
        // A broker that is silent must not keep it from asking the next one.
        return new HashMap<>(Map.of("bootstrap.servers", broker, "request.timeout.ms", 5000, "default.api.timeout.ms", 60000));
    }

    static String run(String[] words) throws Exception {
        switch (words[0]) {
            case "leaders" -> {
                var leaders = new StringJoiner(" ");
                for (var partition : admin.describeTopics(List.of(words[1])).allTopicNames().get().get(words[1]).partitions()) {
                    leaders.add(partition.leader() == null ? "-1" : partition.leader().idString());
                }
                return leaders.toString();
            }
            case "coordinator" -> {
                return admin.describeConsumerGroups(List.of(words[1])).all().get().get(words[1]).coordinator().idString();
            }
            default -> act(words);
        }
        return "ok";
    }

    static void act(String[] words) throws Exception {
        switch (words[0]) {
            case "place" -> {
                Map<Integer, List<Integer>> places = new HashMap<>();
                for (int i = 2; i < words.length; i++) {
                    places.put(i - 2, numbers(words[i]));
                }
                admin.createTopics(List.of(new NewTopic(words[1], places))).all().get();
                await(words[1], places.size());
            }
            case "move" -> {
                var partition = new TopicPartition(words[1], number(words[2]));
                var place = Optional.of(new NewPartitionReassignment(numbers(words[3])));
                admin.alterPartitionReassignments(Map.of(partition, place)).all().get();
                admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).all().get();
            }
            case "create" -> {
                admin.createTopics(List.of(new NewTopic(words[1], number(words[2]), (short) 1))).all().get();
                await(words[1], number(words[2]));
            }
            case "grow" -> {
                admin.createPartitions(Map.of(words[1], NewPartitions.increaseTo(number(words[2])))).all().get();
                await(words[1], number(words[2]));
            }
            case "delete-topic" -> admin.deleteTopics(List.of(words[1])).all().get();
            case "delete-group" -> admin.deleteConsumerGroups(List.of(words[1])).all().get();
            case "delete-records" -> admin.deleteRecords(Map.of(new TopicPartition(words[1], number(words[2])),
                RecordsToDelete.beforeOffset(number(words[3])))).all().get();
            case "offset" -> admin.alterConsumerGroupOffsets(words[1], Map.of(new TopicPartition(words[2], number(words[3])),
                new OffsetAndMetadata(number(words[4])))).all().get();
            case "produce" -> {
                if (producer == null) {
                    producer = new KafkaProducer<>(settings(), new StringSerializer(), new StringSerializer());
                }
                for (int i = 0; i < number(words[3]); i++) {
                    producer.send(new ProducerRecord<>(words[1], number(words[2]), "key", "value"));
                }
                producer.flush();
            }
            case "begin" -> {
                if (transaction == null) {
                    Map<String, Object> settings = settings();
                    settings.put("transactional.id", "of-the-test");
                    transaction = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
                    transaction.initTransactions();
                }
                transaction.beginTransaction();
                for (int i = 0; i < number(words[2]); i++) {
                    transaction.send(new ProducerRecord<>(words[1], 0, "key", "value"));
                }
                transaction.flush();
            }
            case "commit" -> transaction.commitTransaction();
            case "abort" -> transaction.abortTransaction();
            case "consume" -> consume(words[1], words[2], number(words[3]), words[4]);
            case "share" -> share(words[1], words[2], number(words[3]));
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    /** The controller has made it; the broker, who is asked then, learns of it a moment later. */
    static void await(String topic, int partitions) throws Exception {
        for (int found = 0; found < partitions; Thread.sleep(20)) {
            try {
                found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
            } catch (ExecutionException error) {
                if (!(error.getCause() instanceof UnknownTopicOrPartitionException)) {
                    throw error;
                }
            }
        }
    }

    static void consume(String group, String topic, int count, String protocol) {
        Map<String, Object> settings = settings();
        settings.putAll(Map.of("group.id", group, "group.protocol", protocol, "auto.offset.reset", "earliest",
            "enable.auto.commit", "false", "max.poll.records", "1"));
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            for (int got = 0; got < count; ) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    got++;
                    // As most do: the offset after the record, not the consumer's position.
                    consumer.commitSync(Map.of(new TopicPartition(topic, record.partition()), new OffsetAndMetadata(record.offset() + 1)));
                }
            }
        }
    }

    static void share(String group, String topic, int count) throws Exception {
        var reset = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
        var resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(reset))).all().get();
        Map<String, Object> settings = settings();
        settings.put("group.id", group);
        try (var consumer = new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            for (int got = 0; got < count; ) {
                got += consumer.poll(Duration.ofSeconds(1)).count();
            }
        }
    }

    static int number(String word) {
        return Integer.parseInt(word);
    }

    static List<Integer> numbers(String word) {
        return Arrays.stream(word.split(",")).map(Client::number).toList();
    }
}
