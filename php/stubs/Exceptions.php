<?php

namespace Ferry;

/**
 * Implemented by every exception of Ferry: `catch (Ferry\Exception $e)` covers all. No message contains a secret.
 */
interface Exception extends \Throwable
{
}

/** An argument is invalid: queue name, delay, data, payload size. Nothing was sent. */
class InvalidArgumentException extends \InvalidArgumentException implements Exception
{
}

/** The configuration is wrong, or this build cannot do it. Nothing was sent. */
class ConfigException extends InvalidArgumentException
{
}

/** The broker refused: read only, out of memory, wrong key type, disk full. Nothing was stored. */
class BrokerException extends \RuntimeException implements Exception
{
}

/** The broker could not be reached, or refused the login. Nothing was stored; retrying is safe. */
class ConnectionException extends BrokerException
{
}

/** The connection broke after the request was sent: it may or may not have been executed. Retrying may duplicate a job. */
class UncertainException extends BrokerException
{
}

/** The job is no longer ours: its lease expired, or it belongs to the parent of this process. Nothing was changed. */
class LostReservation extends \RuntimeException implements Exception
{
}

/** The payload of a job cannot be decoded. */
class PoisonException extends \RuntimeException implements Exception
{
}

/** There is no such handler class or method, or it is not allowed to run. */
class HandlerNotFoundException extends \RuntimeException implements Exception
{
}

/** The job was attempted too often, or too late; its handler was not run. Passed to `failed()` and listeners, not thrown. */
class MaxAttemptsExceededException extends \RuntimeException implements Exception
{
}

/** A job ran too long. Thrown into the handler before that with `warn_before`; passed to `failed()` and listeners otherwise. */
class TimeoutException extends \RuntimeException implements Exception
{
}

/** Another process is doing the work of a {@see Guard}. Try again later: in a job, release it. */
class BusyException extends \RuntimeException implements Exception
{
}
