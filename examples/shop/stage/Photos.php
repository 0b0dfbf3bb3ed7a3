<?php

namespace Shop\Stage;

use Shop\Catalogue;

/** A photo of each article, as a camera might have taken it: large, many shades, some grain. */
final class Photos
{
    public const SIZE = [1200, 800];
    private const GRAINS = 30000;

    public static function take(string $folder): void
    {
        mt_srand(7);
        foreach (Catalogue::articles() as $article) {
            imagejpeg(self::photo(), "$folder/$article.jpg", 95);
        }
    }

    private static function photo(): \GdImage
    {
        [$width, $height] = self::SIZE;
        $image = imagecreatetruecolor($width, $height);
        [$red, $green] = [mt_rand(120, 200), mt_rand(120, 200)];
        for ($y = 0; $y < $height; $y++) {
            imageline($image, 0, $y, $width, $y, imagecolorallocate($image, $red, $green, 120 + intdiv($y * 120, $height)));
        }
        for ($size = 500; $size > 0; $size -= 4) {
            $shade = 250 - intdiv($size, 3);
            imagefilledellipse($image, 600, 420, $size, intdiv($size * 4, 5), imagecolorallocate($image, $shade, $red, $shade));
        }
        for ($grain = 0; $grain < self::GRAINS; $grain++) {
            $colour = imagecolorallocatealpha($image, mt_rand(0, 255), mt_rand(0, 255), mt_rand(0, 255), 100);
            imagefilledellipse($image, mt_rand(0, $width), mt_rand(0, $height), 4, 4, $colour);
        }
        return $image;
    }
}
