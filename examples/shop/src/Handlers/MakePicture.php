<?php

namespace Shop\Handlers;

use Ferry\Task\TaskHandlerInterface;
use Ferry\Task\TaskMessage;
use Ferry\Task\TaskResult;
use GdImage;
use RuntimeException;
use Shop\Files;
use Shop\Order;
use Shop\Settings;

/** Makes the picture of an order from the photo of its first article: smaller, with a watermark, compressed. */
final class MakePicture implements TaskHandlerInterface
{
    public const TYPE = 'order.picture';
    public const WIDTH = 480;
    /** The watermark stands on a dark band of this height along the lower edge. */
    public const BAND = 32;
    private const QUALITY = 75;

    public function __construct(private Settings $settings)
    {
    }

    public function supports(string $taskType): bool
    {
        return $taskType === self::TYPE;
    }

    public function getSupportedTypes(): array
    {
        return [self::TYPE];
    }

    public function handle(TaskMessage $task): TaskResult
    {
        $order = Order::fromArray($task->payload);
        $photo = $this->settings->path("photos/{$order->firstArticle()}.jpg");
        $picture = self::resized($photo);
        self::mark($picture, "shop.example   {$order->number}");
        $path = $this->settings->path("pictures/{$order->number}.jpg");
        Files::replace($path, fn (string $file) => imagejpeg($picture, $file, self::QUALITY));
        return TaskResult::success(['bytes' => filesize($path)]);
    }

    public static function resized(string $photo): GdImage
    {
        $picture = @imagecreatefromjpeg($photo);
        $small = $picture === false ? false : imagescale($picture, self::WIDTH, -1, IMG_BICUBIC);
        return $small === false ? throw new RuntimeException("$photo is no JPEG") : $small;
    }

    private static function mark(GdImage $picture, string $text): void
    {
        [$width, $height] = [imagesx($picture), imagesy($picture)];
        imagefilledrectangle($picture, 0, $height - self::BAND, $width, $height, imagecolorallocatealpha($picture, 0, 0, 0, 40));
        $left = $width - imagefontwidth(5) * strlen($text) - 12;
        $top = $height - intdiv(self::BAND + imagefontheight(5), 2);
        imagestring($picture, 5, $left, $top, $text, imagecolorallocate($picture, 255, 255, 255));
    }
}
