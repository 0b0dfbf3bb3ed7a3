<?php

namespace Ferry;

/**
 * What an application needs to push and reserve jobs, to type against. {@see Connection} implements it; a test may too.
 */
interface QueueInterface
{
    /**
     * Pushes a job that is ready at once; see {@see Connection::push()}.
     *
     * @param string|object $job
     * @return string|int the id
     * @throws Exception
     */
    public function push(mixed $job, mixed $data = '', ?string $queue = null): mixed;

    /**
     * Pushes a job that is ready after a delay; see {@see Connection::later()}.
     *
     * @param int|float|numeric-string|\DateTimeInterface|\DateInterval|null $delay
     * @param string|object $job
     * @return string|int the id
     * @throws Exception
     */
    public function later(mixed $delay, mixed $job, mixed $data = '', ?string $queue = null): mixed;

    /**
     * Pushes many jobs with the same data; see {@see Connection::bulk()}.
     *
     * @param array<string|object> $jobs
     * @return int|null|list<string>
     * @throws Exception
     */
    public function bulk(mixed $jobs, mixed $data = '', ?string $queue = null): mixed;

    /**
     * Reserves the next job; see {@see Connection::pop()}.
     *
     * @throws Exception
     */
    public function pop(?string $queue = null): ?Job;

    /**
     * Jobs that are still to be run; see {@see Connection::size()}.
     *
     * @return int<0, max>
     * @throws Exception
     */
    public function size(?string $queue = null): int;
}
