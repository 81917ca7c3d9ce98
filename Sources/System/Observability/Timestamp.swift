/// A moment in UTC, written without Foundation.
struct Timestamp: Equatable {
    private let seconds: UInt64
    private let milliseconds: UInt64

    init(unixNanoseconds: UInt64) {
        seconds = unixNanoseconds / 1_000_000_000
        milliseconds = unixNanoseconds / 1_000_000 % 1000
    }

    /// `2026-01-31T12:34:56.789Z`.
    var text: String {
        let (year, month, day) = date
        return "\(year)-\(twoDigits(month))-\(twoDigits(day))T\(clock)Z"
    }

    /// `12:34:56.789`.
    var clock: String {
        let ofDay = seconds % 86_400
        let fraction = String(milliseconds)
        return "\(twoDigits(ofDay / 3600)):\(twoDigits(ofDay / 60 % 60)):\(twoDigits(ofDay % 60))."
            + String(repeating: "0", count: 3 - fraction.count) + fraction
    }

    /// Days since 1970 as a date of the Gregorian calendar, counted in eras of 400 years that begin in March.
    private var date: (year: UInt64, month: UInt64, day: UInt64) {
        let days = seconds / 86_400 + 719_468
        let era = days / 146_097
        let ofEra = days % 146_097
        let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * ofYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * shifted + 2) / 5 + 1)
    }

    private func twoDigits(_ number: UInt64) -> String { number < 10 ? "0\(number)" : String(number) }
}
