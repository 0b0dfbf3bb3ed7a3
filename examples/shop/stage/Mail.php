<?php

namespace Shop\Stage;

use RuntimeException;

/** A mail as the sink stored it, decoded. */
final class Mail
{
    private function __construct(
        public readonly string $from,
        public readonly string $to,
        public readonly string $subject,
        public readonly string $body,
    ) {
    }

    /** Our mails are one part of plain text in base64, to one recipient. */
    public static function read(string $file): self
    {
        [$head, $body] = explode("\r\n\r\n", file_get_contents($file), 2);
        $headers = iconv_mime_decode_headers($head, 0, 'UTF-8');
        if (!is_string($headers['Envelope-To']) || $headers['Content-Transfer-Encoding'] !== 'base64') {
            throw new RuntimeException("$file is no mail of the shop");
        }
        $text = str_replace("\r\n", "\n", base64_decode($body, true));
        return new self($headers['Envelope-From'], $headers['Envelope-To'], $headers['Subject'], $text);
    }
}
