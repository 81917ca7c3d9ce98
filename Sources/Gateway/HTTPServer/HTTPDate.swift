/// The date as header fields write it, such as `Sun, 06 Nov 1994 08:49:37 GMT`, made anew once a second.
struct HTTPDate {
    private var second: UInt64?
    private(set) var text: [UInt8] = []

    /// - `unixSeconds`: Unix time.
    mutating func update(unixSeconds: UInt64) {
        if second == unixSeconds { return }
        second = unixSeconds
        text = HTTPDate.format(unixSeconds: unixSeconds)
    }

    static func format(unixSeconds: UInt64) -> [UInt8] {
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let days = Int(unixSeconds / 86_400)
        let second = Int(unixSeconds % 86_400)
        let (year, month, day) = civil(days: days)
        var text = "\(weekdays[days % 7]), \(twoDigits(day)) \(months[month - 1]) \(year) "
        text += "\(twoDigits(second / 3600)):\(twoDigits(second / 60 % 60)):\(twoDigits(second % 60)) GMT"
        return Array(text.utf8)
    }

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// The Gregorian date of a day counted from 1970-01-01.
    ///
    /// Years are taken to begin in March, so that the leap day is the last one and a year's days need no table.
    private static func civil(days: Int) -> (year: Int, month: Int, day: Int) {
        let daysOfEra = 146_097
        let sinceMarch0 = days + 719_468
        let era = sinceMarch0 / daysOfEra
        let dayOfEra = sinceMarch0 % daysOfEra
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
