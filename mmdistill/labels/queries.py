"""A question to a label store, as DuckDB and Spark ask it.

The candidates above a score, a row each, best first. `chunks` is the pattern of the
store's files, ``labels/chunks/*.parquet``. pandas reads ``labels/chunks`` as it stands.
"""

QUERY = """
SELECT path, bbox, score, points[1] AS nose_x, points[2] AS nose_y
FROM (
    SELECT path, unnest(bboxes) AS bbox, unnest(keypoints) AS points,
           unnest(instance_scores) AS score
    FROM read_parquet('{chunks}')
)
WHERE score >= {score_thr} ORDER BY score DESC
"""
"""For DuckDB, whose arrays begin at 1."""

SPARK_QUERY = """
SELECT path, one.bboxes AS bbox, one.instance_scores AS score,
       one.keypoints[0] AS nose_x, one.keypoints[1] AS nose_y
FROM (
    SELECT path, explode(arrays_zip(bboxes, keypoints, instance_scores)) AS one
    FROM parquet.`{chunks}`
)
WHERE one.instance_scores >= {score_thr} ORDER BY score DESC
"""
"""For Spark, whose arrays begin at 0.

Spark 4.3 reads a store as it stands. The fast reader of Spark 3.5 does not know how
the numbers are encoded (BYTE_STREAM_SPLIT): set
`spark.sql.parquet.enableNestedColumnVectorizedReader` to `false` there.
"""
