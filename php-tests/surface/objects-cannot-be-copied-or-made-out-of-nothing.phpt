--TEST--
Queues and jobs cannot be made by hand, nothing of Ferry can be cloned or serialized, and dumps are empty
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

Ferry\Queue::configure('memory:');
Ferry\Queue::push('Job1', ['password' => 'hunter2']);
foreach ([Ferry\Queue::class, Ferry\Job::class, Ferry\Status::class] as $class) {
    same("new $class", 'Exception: You cannot instantiate this class from PHP.', thrown(fn () => new $class()));
}
$objects = [Ferry\Queue::connection(), new Ferry\Connection('redis://:hunter2@127.0.0.1:1'), new Ferry\Worker(), Ferry\Queue::pop(), new Ferry\CallQueuedHandler(), new Ferry\Guard(new Ferry\Connection('redis://:hunter2@127.0.0.1:1'))];
foreach ($objects as $object) {
    $class = get_class($object);
    holds("clone $class", 'uncloneable', thrown(fn () => clone $object));
    holds("serialize $class", 'not allowed', thrown(fn () => serialize($object)));
    holds("unserialize $class", 'not allowed', thrown(fn () => unserialize('O:' . strlen($class) . ":\"$class\":0:{}")));
    same("without constructor: $class", true, thrown(fn () => (new ReflectionClass($class))->newInstanceWithoutConstructor()) !== '');
    ob_start();
    var_dump($object);
    print_r($object);
    var_export($object);
    echo json_encode($object), json_encode((array) $object);
    check("$class holds no secret", !str_contains(ob_get_clean(), 'hunter2'));
}

// What no constructor saw is refused, not a crash.
foreach ([Ferry\Connection::class, Ferry\Worker::class, Ferry\Job::class, Ferry\Guard::class] as $class) {
    $hollow = (new ReflectionClass($class))->newInstanceWithoutConstructor();
    $method = ['Ferry\Connection' => 'size', 'Ferry\Worker' => 'run', 'Ferry\Job' => 'delete', 'Ferry\Guard' => 'isDone'][$class];
    check("a hollow $class throws", thrown(fn () => $hollow->$method(...($method === 'isDone' ? ['k'] : []))) !== 'nothing');
}
done();
?>
--EXPECT--
ok
