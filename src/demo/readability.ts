/** What the two formulas need to know about a text. */
export interface ProseCounts {
  readonly words: number;
  readonly sentences: number;
  readonly syllables: number;
}

/**
 * Flesch reading ease: 206.835 − 1.015 × words/sentences − 84.6 × syllables/words. About 100 is very easy, below 30
 * very hard. R. Flesch, "A new readability yardstick", Journal of Applied Psychology 32 (1948). Made for English.
 */
export function readingEase({ words, sentences, syllables }: ProseCounts): number {
  return 206.835 - 1.015 * (words / sentences) - 84.6 * (syllables / words);
}

/**
 * Flesch–Kincaid grade level (US school years): 0.39 × words/sentences + 11.8 × syllables/words − 15.59.
 * J. P. Kincaid and others, Naval Technical Training Command report 8-75 (1975).
 */
export function gradeLevel({ words, sentences, syllables }: ProseCounts): number {
  return 0.39 * (words / sentences) + 11.8 * (syllables / words) - 15.59;
}

/** Flesch's own seven bands, in short words. */
export function easeWord(ease: number): string {
  if (ease >= 90) return 'very easy';
  if (ease >= 80) return 'easy';
  if (ease >= 70) return 'fairly easy';
  if (ease >= 60) return 'plain';
  if (ease >= 50) return 'fairly hard';
  return ease >= 30 ? 'hard' : 'very hard';
}

/**
 * Syllables of an English word, estimated as groups of vowels without the silent e of make, makes and jumped.
 * No rule gets every word right; over a paragraph the errors even out. At least 1.
 */
export function syllables(word: string): number {
  const letters = plainLetters(word);
  let groups = 0;
  let inGroup = false;
  for (let i = 0; i < letters.length; i++) {
    const vowel = isVowel(letters.charCodeAt(i));
    if (vowel && !inGroup) groups++;
    inGroup = vowel;
  }
  if (groups > 1 && endsSilently(letters)) groups--;
  return Math.max(1, groups);
}

/** No word is longer; what is longer is encoded data and must not count as thousands of syllables. */
const LETTERS_MAX = 40;

function plainLetters(word: string): string {
  const letters = word.slice(0, LETTERS_MAX).toLowerCase();
  return letters.normalize('NFD');
}

function isVowel(code: number): boolean {
  return code === 97 || code === 101 || code === 105 || code === 111 || code === 117 || code === 121;
}

function endsSilently(letters: string): boolean {
  if (/[^aeiouy]e$/.test(letters)) return !/[^aeiouy]le$/.test(letters);
  if (/[^aeiouy]es$/.test(letters)) return !/(?:[sxzcg]|ch|sh|[^aeiouy]l)es$/.test(letters);
  return /[^aeiouytd]ed$/.test(letters);
}
