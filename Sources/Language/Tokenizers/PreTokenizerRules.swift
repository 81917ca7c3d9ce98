/// The rules that a name in `tokenizer.ggml.pre` stands for.
///
/// The expressions are those of the models' own tokenizer files, in the order in which they are applied.
struct PreTokenizerRules {
    var patterns: [String]
    var wholeWordsFirst = false
    var addsBeginOfSequence = false

    /// Nil for a name that is not known.
    static func named(_ name: String) -> PreTokenizerRules? {
        switch name {
        case "default": PreTokenizerRules(patterns: [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"])
        case "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "gigachat", "a.x-4.0", "mellum",
            "exaone4", "modern-bert", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de":
            PreTokenizerRules(patterns: [gpt2])
        case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b":
            PreTokenizerRules(patterns: [#"\p{N}"#, gpt2])
        case "falcon": PreTokenizerRules(patterns: [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, "[0-9][0-9][0-9]"])
        case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2":
            PreTokenizerRules(patterns: [threeDigits], wholeWordsFirst: true, addsBeginOfSequence: true)
        case "dbrx", "smaug-bpe", "glm4", "chatglm-bpe": PreTokenizerRules(patterns: [threeDigits])
        case "qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "solar-open", "megrez", "grok-2":
            PreTokenizerRules(patterns: [oneDigit])
        case "qwen35": PreTokenizerRules(patterns: [withMarks])
        case "bailingmoe", "bailingmoe2", "llada-moe": PreTokenizerRules(patterns: [bailing])
        case "seed-coder": PreTokenizerRules(patterns: [seedCoder])
        case "deepseek-llm": PreTokenizerRules(patterns: deepSeekLLM)
        case "deepseek-coder":
            PreTokenizerRules(patterns: [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, chineseAndKorean, #"\p{N}"#])
        case "deepseek-v3", "hunyuan-dense", "joyai-llm":
            PreTokenizerRules(patterns: [#"\p{N}{1,3}"#, "[一-龥぀-ゟ゠-ヿ]+", deepSeekV3])
        case "tekken":
            PreTokenizerRules(
                patterns: [casedWords(suffix: "", digits: #"\p{N}"#)], wholeWordsFirst: true, addsBeginOfSequence: true)
        case "gpt-4o", "llama4", "kanana2", "minimax-m2":
            PreTokenizerRules(patterns: [casedWords(suffix: contraction + "?", digits: #"\p{N}{1,3}"#)])
        default: nil
        }
    }

    private static let contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

    private static let gpt2 =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// Digits by three (Llama 3), or one by one (Qwen2).
    private static let threeDigits = words(digits: #"\p{N}{1,3}"#)
    private static let oneDigit = words(digits: #"\p{N}"#)

    private static func words(digits: String) -> String {
        contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    private static let withMarks =
        contraction
        + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    private static let bailing =
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#

    private static let seedCoder =
        contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#

    private static let deepSeekV3 =
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
        + #"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// Words that end where lower case is followed by upper case (Mistral's Tekken, o200k).
    private static func casedWords(suffix: String, digits: String) -> String {
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"# + suffix
            + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"# + suffix
            + "|" + digits + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    private static let chineseAndKorean = "[一-龥ࠀ-一가-퟿]+"

    /// The letters with case as DeepSeek lists them; escaped where normalisation would change a character.
    private static let casedLetters =
        "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
        + #"\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}"#
        + #"\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}"#
        + #"\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}"#
        + #"\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}"#
        + #"\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}"#
        + "ↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"

    private static let deepSeekLLM = [
        #"[\r\n]"#,
        #"\s?["# + casedLetters + "]+",
        #"\s?[!-/:-~！-／：-～‘-‟　-。]+"#,
        // `\s+$`, written so that a long run of spaces elsewhere is not searched again from each of its characters.
        #"(?<!\s)\s++\z"#,
        chineseAndKorean,
        #"\p{N}"#,
    ]
}
