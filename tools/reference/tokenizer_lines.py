"""10,000 lines that tokenisers get wrong: made from a seed, so that goldens can be made again."""

import random

WORDS = """the of and to in is that it was for on are with as his they be at one have this from
or had by hot but some what there we can out other were all your when up use word how said an
each she which do their time if will way about many then them would write like so these her long
make thing see him two has look more day could go come did my sound no most number who over know
water than call first people may down side been now find any new work part take get place made
live where after back little only round man year came show every good me give our under name
very through just form great think say help low line before turn cause same mean differ move
right boy old too does tell sentence set three want air well also play small end put home read
hand port large spell add even land here must big high such follow act why ask men change went
light kind off need house picture try us again animal point mother world near build self earth
father tokenizer internationalisation antidisestablishmentarianism JavaScript HTTPServer iPhone
eBay McDonald NASA GPUs LLMs""".split()

OTHER_WORDS = """Привет мир Москва ПриветМир ЁЖИК ёлка καλημέρα κόσμε ΑΘΗΝΑ ΟδυσσΕΥΣ straße
STRASSE ẞ façade naïve coöperate Ångström İstanbul ısırgan łódź žluťoučký kůň ſuper Kelvin Ǆ ǅ ǆ
ǈ שלום עולם שָׁלוֹם مرحبا بالعالم مَرْحَبًا नमस्ते दुनिया क्षत्रिय বাংলা ভাষা தமிழ் తెలుగు ಕನ್ನಡ
മലയാളം ไทย ภาษาไทย ສະບາຍດີ မြန်မာ ភាសាខ្មែរ བོད་ཡིག ქართული ᲛᲗᲐᲕᲠᲣᲚᲘ հայերեն አማርኛ ᏣᎳᎩ ᓀᐦᐃᔭᐍᐏᐣ
ᠮᠣᠩᠭᠣᠯ ⴰⵎⴰⵣⵉⵖ 𐐔𐐯𐑅𐐨𐑉𐐯𐐻 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝓗𝓮𝓵𝓵𝓸 ｆｕｌｌｗｉｄｔｈ ＷＩＤＥ ﬁne ﬄ ªº ⅷ Ⅷ ⓐ 𞤀𞤣𞤤𞤢𞤥 𑢠𑣀 ꙗко ꚜꚝ ꜣ ꟈ Ꟶ""".split()

CJK = """你好世界 我能吞下玻璃而不伤身体 漢字 繁體中文 簡體 こんにちは 世界 カタカナ ｶﾀｶﾅ ひらがな ゟ ヿ 東京都 日本語のテキスト 안녕하세요 세계 한국어 ᄒᆞᆫ글
ㄱㄴㄷ ㅎ 㐂 䶿 龥 龦 鿿 豈 𠀀 𠮷野家 𪚥 𫝀 𫠝 𬺰 𮯠 𰻞 𱍐 𲎯 ⼀ ⿰ ⿼ ㆐ ㇀ ㇯ 々 〆 〇 〡 ㈠ ㊀ ㋿""".split()

EMOJI = """😀 😂 👍 👍🏽 👩‍👩‍👧‍👦 👨🏿‍🚀 🏳️‍🌈 🏴‍☠️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩🇪 🇯🇵 1️⃣ #️⃣ ❤️ ❤ ☺️ ✨ 🧑‍💻 🤷🏻‍♀️ 🫠 🫨 🩷 🪿 🫎 🛜
🐦‍🔥 🍋‍🟩 ⛓️‍💥 ™️ © ® ‼️ ⁉ ▶️ 🈁 🀄""".split()

MARKS = "\u0300\u0301\u0308\u0327\u0323\u035c\u0361\u0483\u0489\u05b0\u0651\u093f\u094d\u0e34" \
        "\u0ec8\u0ece\u0cf3\u20d0\u20dd\u20e3\ufe0f\ufe20\U0001d165\U000e0101\U00011f00\U00010efd"

SPACES = [" ", " ", " ", "  ", "   ", "    ", "        ", "\t", "\t\t", "\n", "\n\n", "\n\n\n",
          "\r\n", "\r\n\r\n", "\r", "\u00a0", "\u00a0\u00a0", "\u3000", "\u3000\u3000", "\u2003",
          "\u2009", "\u200a", "\u202f", "\u205f", "\u1680", "\u2028", "\u2029", "\u0085", "\x0b",
          "\x0c", "\u200b", "\u200d", "\ufeff", "\u180e", "\u2060", " \n", " \t ", "\n  ", "\t\n"]

PUNCTUATION = """! " # $ % & ' ( ) * + , - . / : ; < = > ? @ [ \\ ] ^ _ ` { | } ~ ... -- --- ==
=== != <= >= -> => :: && || ++ // /* */ ''' \"\"\" `` ~~ ~~~ $$ ?? !! ?! ., ,.
() [] {} <> </ /> “ ” ‘ ’ ‚ „ « » – — … ¿ ¡ § ¶ † ‡ • ′ ″ ‰ € £ ¥ ₹ ₿ ¢ × ÷ ± ∑
√ ∞ ≈ ≠ ≤ → ⇒ ← ↔ ⟨ ⟩ 、 。 「 」 『 』 【 】 〜 ・ ！ ？ ， ： ； （ ） ～ ｡ ･ ، ؛ ؟ ۔ । ॥ ־ ׳ ᐧ
‿ ⁇ ゛ ¨ ´ ` ^ ¬ ¦ ° 𐄀 𑬀""".split()

NUMBERS = ["٣", "٤٥٦", "०१२", "๑๒๓", "²³", "½", "⅓", "Ⅻ", "①②", "㉛", "𝟘𝟙𝟚", "１２３", "〇一二", "𑽐", "𝋀",
           "𞓰", "1.5e-10", "0x1F", "1,234,567.89", "3.14159", "2024-01-31", "12:34:56",
           "192.168.0.1", "1st", "2nd", "v1.2.3", "50%", "$9.99", "+49 30 123456", "1/2", "10^6",
           "007", "1_000"]

CONTRACTIONS = """I'm you're he'll don't we've I'd it's IT'S DON'T WE'RE I'LL They'Ve y'all'd've
o'clock 'tis 'S 'T 'LL 're 'VE 'd 'm Rock'n'roll l'eau d'accord '' ''s 'sss 'ſ 'K ’s ’re don’t
DON’T ' s ' t""".split()

CODE = ["def f(x):\n    return x**2\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n\t}\n",
        "#include <vector>\n\nint main() { return 0; }",
        "{\"a\": [1, 2.5, null], \"b\": {\"c\": true}}",
        "<div class=\"x\"><a href='#'>link</a></div>",
        "SELECT * FROM t WHERE id = 42 AND name LIKE '%x%';", "if (a && b || !c) goto end;",
        "x = [i for i in range(10) if i % 2 == 0]",
        "\\begin{equation} \\frac{1}{2} \\end{equation}", "let s: &'static str = \"hi\\n\";",
        "git commit -m \"fix: don't crash\" && git push --force",
        "https://example.org/path?q=1&r=%20#frag", "C:\\Users\\me\\file.txt",
        "a->b->c(**args, *kw)", "/* comment */ // line\n", "```python\nprint('hello')\n```\n",
        "| a | b |\n|---|---|\n| 1 | 2 |", "::std::cout << \"x\" << '\\n';", "user@example.com",
        "camelCaseIdentifier snake_case_name SCREAMING_CASE kebab-case",
        "\n\n    indented\n        more\n"]

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\n", "<|im_end|>\n",
           "<|im_", "im_end|>", "<repo_name>", "<file_sep>", "<empty_output>", "<|IM_END|>",
           "< |im_end|>", "<s>", "</s>", "<unk>", "[INST]", "<user>", "<user><user>", "<|eot_id|>",
           "<0x0A>", "<filename>x", "<<|im_end|>>", "<jupyter_code>", "▁", "▁▁", "Ġ", "Ċ"]

BROKEN = [b"\xff", b"\xfe", b"\x80", b"\xbf", b"\xc3", b"\xe4\xb8", b"\xe4", b"\xf0\x9f\x98",
          b"\xf0\x9f", b"\xf0", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf",
          b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
          b"\xed\xa0\xbd\xed\xb8\x80", b"\xf8\x88\x80\x80\x80", b"\xfc", b"\xe4\xb8\xe4\xb8\xad",
          b"\xc3\x28", b"\xa0\xa1", b"\xe2\x28\xa1", b"\xe2\x82\x28", b"\xf0\x28\x8c\xbc",
          b"\xf0\x9f\x98\x80\x80"]


def digits(rng):
    length = rng.choice([1, 2, 3, 4, 5, 6, 7, 12, 20, 41])
    return "".join(rng.choice("0123456789") for _ in range(length))


def code_point(rng):
    """Any character outside the surrogates, the first planes far more often."""
    while True:
        x = rng.choice([rng.randrange(0x20, 0x3000), rng.randrange(0x3000, 0x10000),
                        rng.randrange(0x10000, 0x20000), rng.randrange(0x20000, 0x110000)])
        if not 0xD800 <= x < 0xE000:
            return chr(x)


def combined(rng):
    out = ""
    for _ in range(rng.randrange(1, 6)):
        out += rng.choice("aeioungcAEIOU ख的1")
        out += "".join(rng.choice(MARKS) for _ in range(rng.randrange(0, 5)))
    return out


def control(rng):
    return chr(rng.choice([*range(0x00, 0x20), 0x7F, 0x80, 0x9F, 0xAD]))


def piece(rng, kind):
    """One piece of text or bytes of a kind."""
    return {
        "word": lambda: rng.choice(WORDS), "caps": lambda: rng.choice(WORDS).capitalize(),
        "other": lambda: rng.choice(OTHER_WORDS), "cjk": lambda: rng.choice(CJK),
        "emoji": lambda: rng.choice(EMOJI), "marks": lambda: combined(rng),
        "space": lambda: rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 5]),
        "punctuation": lambda: rng.choice(PUNCTUATION) * rng.choice([1, 1, 1, 2, 3]),
        "digits": lambda: digits(rng), "number": lambda: rng.choice(NUMBERS),
        "contraction": lambda: rng.choice(CONTRACTIONS), "code": lambda: rng.choice(CODE),
        "special": lambda: rng.choice(SPECIAL), "any": lambda: code_point(rng),
        "control": lambda: control(rng), "broken": lambda: rng.choice(BROKEN),
        "bytes": lambda: bytes(rng.randrange(256) for _ in range(rng.randrange(1, 8))),
    }[kind]()


# What a line is made of; the weights are those of random.choices.
RECIPES = [
    (["word", "word", "word", "caps", "punctuation", "space"], 10),
    (["word", "contraction", "punctuation"], 8),
    (["digits", "number", "word", "punctuation", "space"], 8),
    (["emoji", "emoji", "word", "space"], 8),
    (["cjk", "cjk", "punctuation", "digits", "word", "space"], 10),
    (["other", "word", "punctuation", "digits", "contraction"], 10),
    (["marks", "other", "word"], 8),
    (["space", "space", "word", "digits", "cjk", "punctuation"], 10),
    (["code", "space", "word", "digits"], 8),
    (["special", "special", "word", "space", "cjk"], 5),
    (["any", "any", "word", "space"], 6),
    (["control", "word", "space"], 2),
    (["broken", "word", "space", "cjk", "emoji"], 10),
    (["bytes", "broken", "word"], 4),
]
GLUE = ["", "", "", " ", " ", " ", " ", "  ", "\n"]


def beyond_unicode(line):
    """Whether a line has a four-byte form above U+10FFFF, on which llama.cpp aborts."""
    for i in range(len(line) - 3):
        a, b, c, d = line[i:i + 4]
        above = (a == 0xF4 and b >= 0x90) or 0xF5 <= a <= 0xF7
        if above and all(x & 0xC0 == 0x80 for x in (b, c, d)):
            return True
    return False


def make_lines(count=10_000, seed=20_240_607):
    """`count` byte strings; the same for the same seed."""
    rng = random.Random(seed)
    lines = []
    while len(lines) < count:
        kinds = rng.choices([r for r, _ in RECIPES], [w for _, w in RECIPES])[0]
        line = b""
        for _ in range(rng.choice([1, 2, 3, 4, 6, 8, 12])):
            x = piece(rng, rng.choice(kinds))
            line += x if isinstance(x, bytes) else x.encode()
            line += rng.choice(GLUE).encode()
        if line and not beyond_unicode(line):
            lines.append(line)
    return lines
