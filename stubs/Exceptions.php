<?php

namespace Ferry;

/**
 * What every exception of Ferry implements: `catch (Ferry\Exception $e)` covers all. No message holds a secret.
 */
interface Exception extends \Throwable
{
}

/** An argument cannot be carried: queue name, delay, data, payload size. Nothing was sent. */
class InvalidArgumentException extends \InvalidArgumentException implements Exception
{
}

/** The configuration is wrong, or this build cannot do it. Nothing was sent. */
class ConfigException extends InvalidArgumentException
{
}

/** The broker said no: read only, out of memory, wrong key type, disk full. Nothing was stored. */
class BrokerException extends \RuntimeException implements Exception
{
}

/** The broker was not reached, or refused the login. Nothing was stored; repeating is safe. */
class ConnectionException extends BrokerException
{
}

/** The link broke after the request was written: it may or may not have been carried out. Repeating may double a job. */
class UncertainException extends BrokerException
{
}

/** The job is somebody else's now: its lease ended, or it belongs to the parent of this process. Nothing was changed. */
class LostReservation extends \RuntimeException implements Exception
{
}

/** The payload of a job cannot be understood. */
class PoisonException extends \RuntimeException implements Exception
{
}

/** There is no such handler class or method, or it is not allowed to run. */
class HandlerNotFoundException extends \RuntimeException implements Exception
{
}

/** The job was attempted too often, or too late; its handler was not run. Given to `failed()` and listeners, not thrown. */
class MaxAttemptsExceededException extends \RuntimeException implements Exception
{
}

/** A job ran too long. Thrown into the handler before that with `warn_before`; given to `failed()` and listeners otherwise. */
class TimeoutException extends \RuntimeException implements Exception
{
}

/** Somebody else is at the work of a {@see Guard}. Try again later: in a job, release it. */
class BusyException extends \RuntimeException implements Exception
{
}
