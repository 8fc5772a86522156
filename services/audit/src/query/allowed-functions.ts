/**
 * What a question may call. Everything else is refused: functions that reach files, servers, dictionaries, tables by name,
 * settings or the host, that sleep, or that are not known here.
 */
const words = (text: string): string[] => text.trim().split(/\s+/);

const scalar = words(`
  abs accurateCast accurateCastOrDefault accurateCastOrNull addDays addHours addMicroseconds addMilliseconds addMinutes addMonths addQuarters addSeconds addWeeks addYears
  age and arrayAll arrayAvg arrayCompact arrayConcat arrayCount arrayCumSum arrayDifference arrayDistinct arrayElement arrayElementOrNull arrayEnumerate arrayEnumerateUniq arrayExists arrayFill
  arrayFilter arrayFirst arrayFirstIndex arrayFirstOrNull arrayFlatten arrayFold arrayIntersect arrayJoin arrayLast arrayLastIndex arrayLastOrNull arrayMap arrayMax arrayMin arrayPopBack
  arrayPopFront arrayProduct arrayPushBack arrayPushFront arrayResize arrayReverse arraySlice arraySort arraySplit arrayStringConcat arraySum arrayUniq arrayZip arrayReverseSort arrayPartialSort
  array ascii assumeNotNull base58Encode base64Decode base64Encode bin bitAnd bitCount bitNot bitOr bitShiftLeft bitShiftRight bitTest bitXor
  CAST _CAST caseWithExpression caseWithoutExpression ceil ceiling char coalesce concat concatAssumeInjective concatWithSeparator concat_ws countMatches countMatchesCaseInsensitive countSubstrings
  countSubstringsCaseInsensitive crc32 dateDiff dateName dateTime64ToSnowflakeID dateTrunc date_diff date_trunc day decodeURLComponent degrees divide divideOrNull domain
  editDistance empty encodeURLComponent endsWith equals exists exp extract extractAll extractAllGroups extractGroups farmHash64 flatten floor formatDateTime formatReadableDecimalSize
  formatReadableQuantity formatReadableSize formatReadableTimeDelta fromUnixTimestamp fromUnixTimestamp64Micro fromUnixTimestamp64Milli fromUnixTimestamp64Nano FROM_UNIXTIME
  greater greaterOrEquals greatest halfMD5 has hasAll hasAny hasSubstr hasToken hasTokenCaseInsensitive hex hour if ifNotFinite ifNull ilike in indexOf initcap intDiv intDivOrZero intExp10 intExp2
  isFinite isInfinite isIPAddressInRange isIPv4String isIPv6String isNaN isNotDistinctFrom isNotNull isNull isValidJSON isValidUTF8 IPv4NumToString IPv4StringToNum IPv6NumToString IPv6StringToNum
  JSONExtract JSONExtractArrayRaw JSONExtractBool JSONExtractFloat JSONExtractInt JSONExtractKeys JSONExtractKeysAndValues JSONExtractKeysAndValuesRaw JSONExtractRaw JSONExtractString JSONExtractUInt
  JSONHas JSONKey JSONLength JSONType JSON_EXISTS JSON_QUERY JSON_VALUE toJSONString
  lag lambda lcase least left leftPad leftPadUTF8 leftUTF8 length lengthUTF8 less lessOrEquals like ln locate log log10 log1p log2 lower lowerUTF8 lpad ltrim
  map mapContains mapContainsKey mapFilter mapFromArrays mapKeys mapValues match materialize max2 MD5 mid min2 minus minute modulo modulo_legacy moduloOrZero month monthName multiFuzzyMatchAny multiIf multiMatchAny multiMatchAnyIndex
  multiply multiSearchAny multiSearchAnyCaseInsensitive multiSearchFirstIndex negate not notEmpty notEquals notILike notIn notLike now now64 nullIf or pi plus position positionCaseInsensitive
  positionCaseInsensitiveUTF8 positionUTF8 pow power quarter radians range regexpExtract repeat replace replaceAll replaceOne replaceRegexpAll replaceRegexpOne
  reverse reverseUTF8 right rightPad rightPadUTF8 rightUTF8 round roundBankers roundDown roundToExp2 rowNumberInAllBlocks rpad rtrim second SHA1 SHA224 SHA256 SHA512 sign sipHash128 sipHash64 space
  splitByChar splitByNonAlpha splitByRegexp splitByString splitByWhitespace alphaTokens tokens sqrt startsWith subDate substr substring substringIndex substringUTF8 subtractDays subtractHours
  subtractMinutes subtractMonths subtractQuarters subtractSeconds subtractWeeks subtractYears timeDiff timeSlot timeSlots timestamp_diff toBool toDate toDate32 toDateOrNull toDateTime toDateTime64 toDateTime64OrNull toDateTimeOrNull
  toDayOfMonth toDayOfWeek toDayOfYear toDecimal128 toDecimal32 toDecimal64 toFixedString toFloat32 toFloat64 toFloat64OrNull toHour toInt128 toInt16 toInt256 toInt32 toInt64 toInt64OrNull toInt8
  toIntervalDay toIntervalHour toIntervalMicrosecond toIntervalMillisecond toIntervalMinute toIntervalMonth toIntervalQuarter toIntervalSecond toIntervalWeek toIntervalYear toIPv4 toIPv6 toISOWeek toISOYear
  toLastDayOfMonth toLowCardinality toMillisecond toMinute toMonday toMonth toNullable toQuarter toRelativeDayNum toRelativeHourNum toSecond toStartOfDay toStartOfFifteenMinutes toStartOfFiveMinutes
  toStartOfHour toStartOfInterval toStartOfISOYear toStartOfMillisecond toStartOfMinute toStartOfMonth toStartOfQuarter toStartOfSecond toStartOfTenMinutes toStartOfWeek toStartOfYear
  toString toTime toTimezone toTypeName toUInt128 toUInt16 toUInt256 toUInt32 toUInt64 toUInt64OrNull toUInt8 toUnixTimestamp toUnixTimestamp64Micro toUnixTimestamp64Milli toUnixTimestamp64Nano toUUID toUUIDOrNull
  toWeek toYear toYearWeek toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss today transform translate trim trimBoth trimLeft trimRight trunc truncate tuple tupleConcat tupleElement tupleToNameValuePairs
  ucase unhex upper upperUTF8 UUIDStringToNum wordShingleMinHash xor xxHash32 xxHash64 year yesterday
  globalIn globalNotIn grouping untuple parseDateTime parseDateTimeBestEffort parseDateTimeBestEffortOrNull parseDateTime64BestEffort parseDateTime64BestEffortOrNull parseDateTimeOrNull
`);

const aggregate = words(`
  any anyHeavy anyLast any_value argMax argMin avg avgWeighted corr count covarPop covarSamp deltaSum deltaSumTimestamp entropy exponentialMovingAverage first_value groupArray groupArrayInsertAt
  groupArrayLast groupArrayMovingAvg groupArrayMovingSum groupArraySample groupArraySorted groupBitAnd groupBitOr groupBitXor groupConcat groupUniqArray kurtPop last_value max maxMap median medianExact min minMap
  quantile quantileExact quantileExactWeighted quantileTDigest quantileTiming quantiles quantilesExact quantilesTDigest quantilesTiming sequenceCount sequenceMatch sequenceNextNode simpleLinearRegression
  singleValueOrNull skewPop stddevPop stddevSamp sum sumCount sumMap sumWithOverflow topK topKWeighted uniq uniqCombined uniqCombined64 uniqExact uniqHLL12 uniqUpTo varPop varSamp windowFunnel
  retention maxIntersections maxIntersectionsPosition intervalLengthSum
`);

const window = words(
  "row_number rank dense_rank denseRank percent_rank percentRank cume_dist ntile lagInFrame leadInFrame lead lag nth_value nonNegativeDerivative",
);

const combinators = ["If", "Array", "Map", "Distinct", "OrNull", "OrDefault", "ArgMin", "ArgMax"];

const scalars = new Set([...scalar, ...window].map((name) => name.toLowerCase()));
const aggregates = new Set(aggregate.map((name) => name.toLowerCase()));

/** For the documentation, in alphabetical order. */
export const allowedFunctionNames: readonly string[] = [...new Set([...scalar, ...window, ...aggregate])]
  .filter((name) => !name.startsWith("_"))
  .toSorted((a, b) => a.localeCompare(b));

/** The table functions that make rows of nothing but their arguments. */
export const allowedTableFunctions: ReadonlySet<string> = new Set(["numbers", "generateSeries", "generate_series"]);

/** Names are compared without case: the engine's are not all case-sensitive, and none here differs by case alone. */
export function isAllowedFunction(name: string): boolean {
  const lower = name.toLowerCase();
  return scalars.has(lower) || isAggregate(name);
}

function isAggregate(name: string): boolean {
  if (aggregates.has(name.toLowerCase())) return true;
  return combinators.some(
    (suffix) => name.length > suffix.length && name.endsWith(suffix) && isAggregate(name.slice(0, -suffix.length)),
  );
}
