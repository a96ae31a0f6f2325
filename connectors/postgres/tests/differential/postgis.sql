CREATE EXTENSION postgis;
CREATE TABLE places (id int PRIMARY KEY, g geometry, p geometry(Point, 4326), gg geography(Point), pz geometry(PointZ), ln geometry(LineString), po geometry(Polygon, 3857), gc geometry(GeometryCollection), ga geometry[], bx box2d);
@@
INSERT INTO places VALUES (ID, 'POINT(1 2)', 'SRID=4326;POINT(3 4)', 'POINT(5 6)', 'POINT Z (1 2 3)', 'LINESTRING EMPTY', 'SRID=3857;POLYGON((0 0,1 0,1 1,0 0))', 'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))', ARRAY['POINT(1 2)'::geometry], 'BOX(0 0,1 1)'), (ID + 10, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
